"""How a project tests its jobs: they are part of the test's transaction, and `drain` runs them there."""

from datetime import date

from django.conf import settings
from django.core import mail
from django.test import TestCase, override_settings

from pyqueue.contrib.django import queue

from .models import Order, SalesReport
from .tasks import report_sales

FILES_IN_MEMORY = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}


@override_settings(STORAGES=FILES_IN_MEMORY)
class OrderTest(TestCase):
    """From the form to the receipt."""

    def test_an_order_sends_its_receipt_and_gets_its_card(self) -> None:
        page = self.client.post("/", {"email": "ann@example.com", "item": "tea"})
        queue.drain(raises=True)
        status = self.client.get(f"{page.url}status/").json()

        self.assertEqual([message.to for message in mail.outbox], [["ann@example.com"]])
        self.assertTrue(status["receipt_sent"])
        self.assertEqual((status["card_state"], status["card_progress"]), ("completed", 100))

    def test_an_order_that_is_refused_pushes_nothing(self) -> None:
        self.client.post("/", {"email": "no address", "item": "tea"})

        self.assertEqual(Order.objects.count(), 0)
        self.assertEqual(queue.list_jobs().jobs, [])

    def test_the_report_of_a_day_can_be_made_twice(self) -> None:
        for _ in range(2):
            report_sales.push(date(2030, 1, 1))
        queue.drain(raises=True)

        self.assertEqual(SalesReport.objects.get().orders, 0)
