"""What a shop expects of its queue: run by Django's test runner, on each kind of database."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings
from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs
from shop.tasks import greet, report, send_receipt  # type: ignore[import-not-found]

from pyqueue import JobState
from pyqueue.contrib.django import queue
from pyqueue.contrib.django.models import Job, Queue
from pyqueue.contrib.django.testing import moving_clock
from pyqueue.core.errors import DuplicateKey, InvalidState, JobNotFound, QueuePaused, ValidationError


class Rolled(Exception):
    """Ends a transaction badly."""


class TransactionsOfTheShop(TransactionTestCase):  # type: ignore[misc]  # Django comes without types
    """`transaction.atomic()` and the queue."""

    def test_a_push_is_committed_with_the_order(self) -> None:
        with transaction.atomic():
            order = Order.objects.create(email="a@shop")
            pushed = send_receipt.push(order.pk)

        self.assertEqual(queue.get_job(pushed).state, JobState.WAITING)
        self.assertEqual(queue.stats("default").waiting, 1)

    def test_a_push_is_rolled_back_with_the_order(self) -> None:
        with self.assertRaises(Rolled), transaction.atomic():
            pushed = send_receipt.push(Order.objects.create(email="a@shop").pk)
            raise Rolled

        with self.assertRaises(JobNotFound):
            queue.get_job(pushed)
        self.assertEqual(queue.stats("default").waiting, 0)

    def test_a_savepoint_takes_back_what_was_pushed_in_it_and_no_more(self) -> None:
        with transaction.atomic():
            kept = send_receipt.push(1)
            with self.assertRaises(Rolled), transaction.atomic():
                send_receipt.push(2)
                raise Rolled

        self.assertEqual([job.id for job in queue.list_jobs().jobs], [kept])

    def test_a_refused_push_leaves_the_transaction_usable(self) -> None:
        with transaction.atomic():
            queue.push("default", "send-receipt", {"order_id": 1}, unique_key="k")
            with self.assertRaises(DuplicateKey) as refused:
                queue.push("default", "send-receipt", {"order_id": 1}, unique_key="k")
            self.assertIsNot(refused.exception.__cause__, refused.exception)
            Order.objects.create(email="a@shop")

        self.assertEqual(Order.objects.count(), 1)
        self.assertEqual(queue.stats("default").waiting, 1)

    def test_signals_and_callbacks_of_the_shop_follow_the_commit(self) -> None:
        seen: list[Any] = []
        with transaction.atomic():
            transaction.on_commit(lambda: seen.append(queue.stats("default").waiting))
            send_receipt.push(1)
            self.assertEqual(seen, [])

        self.assertEqual(seen, [1])

    def test_a_push_shows_in_the_query_log(self) -> None:
        send_receipt.push(1)
        with self.assertNumQueries(3 if connection.vendor == "postgresql" else 5), transaction.atomic():
            send_receipt.push(1)

    def test_a_push_to_a_paused_queue_leaves_the_transaction_usable(self) -> None:
        queue.pause("default")
        with transaction.atomic():
            with self.assertRaises(QueuePaused):
                send_receipt.push(1)
            Order.objects.create(email="a@shop")

        self.assertEqual(Order.objects.count(), 1)

    def test_an_ack_is_rolled_back_with_the_rest(self) -> None:
        send_receipt.push(1)
        [job] = queue.pull("default")
        with self.assertRaises(Rolled), transaction.atomic():
            queue.ack(job)
            raise Rolled

        self.assertEqual(queue.get_job(job.id).state, JobState.ACTIVE)

    async def test_event_loops_push_and_look(self) -> None:
        pushed = await greet.apush("you")

        self.assertEqual((await queue.aget_job(pushed)).state, JobState.WAITING)

    def test_flush_leaves_no_jobs_and_no_counts_behind(self) -> None:
        for _ in range(3):
            send_receipt.push(1)
            queue.purge("default")
            send_receipt.push(1)
            call_command("flush", interactive=False, verbosity=0)

            self.assertEqual((Job.objects.count(), queue.stats("default").waiting), (0, 0))
        send_receipt.push(1)
        self.assertEqual(queue.stats("default").waiting, 1)


class RequestsOfTheShop(TransactionTestCase):  # type: ignore[misc]
    """`ATOMIC_REQUESTS`."""

    def setUp(self) -> None:
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        self.addCleanup(connection.settings_dict.update, ATOMIC_REQUESTS=False)

    def test_a_request_that_fails_takes_its_pushes_back(self) -> None:
        self.assertEqual(self.client.get("/order/").status_code, 200)
        self.client.raise_request_exception = False
        self.assertEqual(self.client.get("/order/?fails=1").status_code, 500)

        self.assertEqual((Order.objects.count(), queue.stats("default").waiting), (1, 1))


class TestsOfTheShop(TestCase):  # type: ignore[misc]
    """What tests of applications do."""

    def setUp(self) -> None:
        self.order = Order.objects.create(email="a@shop")
        self.pushed = send_receipt.push(self.order.pk)

    def test_jobs_run_inside_the_transaction_of_the_test(self) -> None:
        done = queue.drain(raises=True)

        self.order.refresh_from_db()
        self.assertEqual((done.completed, self.order.is_receipt_sent), (1, True))
        self.assertEqual(self.pushed.result(timeout=5), "a@shop")

    def test_the_next_test_begins_with_nothing(self) -> None:
        self.assertEqual(Job.objects.count(), 1)

    def test_a_job_reports_from_inside_a_transaction(self) -> None:
        pushed = report.push()
        queue.drain("reports", raises=True)

        self.assertEqual(queue.get_job(pushed).progress, 50)

    def test_delays_and_retries_are_run_by_moving_the_clock(self) -> None:
        with moving_clock():
            retried = send_receipt.options(max_attempts=3).push(self.order.pk + 1)
            delayed = send_receipt.options(delay_ms=3_600_000).push(self.order.pk)

            done = queue.drain()

            self.assertEqual((done.failed, done.completed), (3, 2))
            self.assertEqual(queue.get_job(retried).state, JobState.DLQ)
            self.assertEqual(queue.get_job(delayed).state, JobState.COMPLETED)

    def test_an_order_is_no_argument_and_its_key_is_advised(self) -> None:
        with self.assertRaisesRegex(ValidationError, "pass its primary key"):
            send_receipt.push(self.order)

    def test_models_are_read_with_real_moments(self) -> None:
        queue.drain(raises=True)
        now = datetime.now(UTC)

        job = Job.objects.by_job_id(self.pushed).get()

        self.assertEqual((job.job_id, job.name, job.data), (self.pushed, "send-receipt", {"order_id": self.order.pk}))
        self.assertLess(now - job.completed_at, timedelta(minutes=1))
        self.assertLess(now - job.created_at, timedelta(minutes=1))
        self.assertEqual(job.result, "a@shop")
        self.assertEqual(Job.objects.filter(completed_at__gt=now - timedelta(minutes=1)).count(), 1)
        self.assertEqual(Job.objects.filter(completed_at__gt=now + timedelta(minutes=1)).count(), 0)
        self.assertEqual(str(job), "send-receipt in default: completed")

    def test_models_are_not_written(self) -> None:
        job = Job.objects.get()
        for write in (
            job.save,
            job.delete,
            Job.objects.all().delete,
            lambda: Job.objects.update(priority=1),
            lambda: Queue.objects.create(name="q"),
        ):
            with self.assertRaisesRegex(InvalidState, "written by its engine"):
                write()

    def test_the_models_need_no_migration(self) -> None:
        call_command("makemigrations", "pyqueue", check=True, dry_run=True, verbosity=0)

    def test_the_commands_say_that_they_cannot_see_a_test(self) -> None:
        if connection.vendor == "sqlite":
            with self.assertRaisesRegex(Exception, "in memory"):
                call_command("pyqueue", "status", stdout=io.StringIO())


class SettingsOfTheShop(TransactionTestCase):  # type: ignore[misc]
    """The setting PYQUEUE."""

    def test_an_unknown_key_is_an_error_that_names_the_known(self) -> None:
        with override_settings(PYQUEUE={"DATABSE": "default"}):
            [found] = [each for each in run_checks() if each.id == "pyqueue.E001"]

        self.assertIn("DATABASE", found.msg)

    def test_an_alias_that_is_not_there_is_an_error(self) -> None:
        with override_settings(PYQUEUE={"DATABASE": "jobs"}):
            self.assertIn("pyqueue.E002", [each.id for each in run_checks()])

    def test_a_storage_apart_refuses_to_look_like_a_part_of_a_transaction(self) -> None:
        with TemporaryDirectory() as folder, override_settings(PYQUEUE={"STORAGE": Path(folder) / "jobs.db"}):
            send_receipt.push(1)
            with self.assertRaisesRegex(InvalidState, "on_commit"), transaction.atomic():
                send_receipt.push(1)
            with transaction.atomic():
                transaction.on_commit(lambda: send_receipt.push(2))

            self.assertEqual(queue.stats("default").waiting, 2)
            queue.close()
        self.assertEqual(queue.stats("default").waiting, 0)
