"""What the admin shows of jobs, and does to them: run by Django's test runner."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import TestCase
from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs
from shop.tasks import send_receipt  # type: ignore[import-not-found]

from pyqueue import JobState
from pyqueue.contrib.django import queue
from pyqueue.contrib.django.models import Job

JOBS = "/admin/pyqueue/job/"


class AdminOfJobs(TestCase):  # type: ignore[misc]  # Django comes without types
    """Lists, details and actions."""

    def setUp(self) -> None:
        self.client.force_login(User.objects.create_superuser("root", "root@shop", "x"))

    def test_the_list_shows_jobs_and_finds_them(self) -> None:
        first, second = send_receipt.push(1), queue.push("emails", "greet", {}, tags=["vip"], custom_id="c-1")

        self.assertContains(self.client.get(JOBS), first)
        for term, found, other in [
            (first, first, second),
            *((term, second, first) for term in ("vip", "c-1", "greet")),
        ]:
            page = self.client.get(JOBS, {"q": term})

            self.assertContains(page, found)
            self.assertNotContains(page, other)

    def test_the_list_counts_no_history_and_asks_nothing_for_each_row(self) -> None:
        for number in range(30):
            send_receipt.push(number)
        self.client.get(JOBS)

        with self.assertNumQueries(4):
            self.client.get(JOBS)

    def test_a_job_is_shown_with_arguments_and_tracebacks(self) -> None:
        send_receipt.options(max_attempts=1).push(4711)
        queue.drain()

        page = self.client.get(f"{JOBS}{Job.objects.get().pk}/change/")

        self.assertContains(page, "4711")
        self.assertContains(page, "DoesNotExist")
        self.assertNotContains(page, 'name="_save"')

    def test_actions_are_done_by_the_engine_and_noted(self) -> None:
        order = Order.objects.create(email="a@shop")
        dead = send_receipt.options(max_attempts=1).push(order.pk + 1)
        queue.drain()
        waiting = send_receipt.push(order.pk)

        self._act("retry", dead)
        self._act("cancel", waiting)
        refused = self._act("cancel", waiting)

        self.assertEqual(queue.get_job(dead).state, JobState.WAITING)
        self.assertEqual(queue.get_job(waiting).state, JobState.CANCELLED)
        self.assertContains(refused, 'class="error"')
        self.assertGreaterEqual(LogEntry.objects.filter(change_message__contains="retried").count(), 1)
        self._act("remove", dead)
        self.assertEqual(queue.list_jobs().jobs[0].id, waiting)

    def test_who_may_only_look_has_no_actions(self) -> None:
        looker = User.objects.create_user("looker", is_staff=True)
        looker.user_permissions.add(Permission.objects.get(codename="view_job"))
        self.client.force_login(looker)
        pushed = send_receipt.push(1)

        self._act("cancel", pushed)

        self.assertEqual(queue.get_job(pushed).state, JobState.WAITING)

    def test_queues_and_schedules_are_acted_on(self) -> None:
        queue.pause("emails")
        queue.create_schedule("nightly", "reports", "report", cron_expr="0 3 * * *")

        self.client.post("/admin/pyqueue/queue/", {"action": "resume", "_selected_action": ["emails"]})
        self.client.post("/admin/pyqueue/schedule/", {"action": "run", "_selected_action": ["nightly"]})

        self.assertFalse(any(info.is_paused for info in queue.queues()))
        self.assertEqual(queue.stats("reports").waiting, 1)

    def _act(self, action: str, job_id: str) -> Any:
        key = Job.objects.by_job_id(job_id).get().pk
        return self.client.post(JOBS, {"action": action, "_selected_action": [key]}, follow=True)
