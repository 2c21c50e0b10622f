"""What `django.tasks` promises, kept by the backend of pyqueue: run by Django's test runner."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings
from django.utils import timezone
from shop.later import aadd, add, attempts, fail, find_order  # type: ignore[import-not-found]  # of the project, when it runs
from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs

from pyqueue.contrib.django import queue
from pyqueue.contrib.django.task_api import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
    task_finished,
    task_started,
)

BACKEND = "pyqueue.contrib.django.tasks.PyQueueBackend"


class TasksOfDjango(TestCase):  # type: ignore[misc]  # Django comes without types
    """The contract."""

    def test_a_result_follows_its_task(self) -> None:
        result = add.enqueue(1, second=2)
        self.assertEqual((result.status, result.is_finished, result.attempts), (TaskResultStatus.READY, False, 0))

        queue.drain(raises=True)
        result.refresh()

        self.assertEqual((result.status, result.return_value), (TaskResultStatus.SUCCESSFUL, 3))
        self.assertEqual((result.args, result.kwargs, result.attempts), ([1], {"second": 2}, 1))
        self.assertLessEqual(result.enqueued_at, result.started_at)
        self.assertLessEqual(result.started_at, result.finished_at)

    def test_a_failure_is_tried_again_and_then_told(self) -> None:
        result = fail.using(max_attempts=2, backoff_delay_ms=0).enqueue("nothing there")

        queue.drain()
        queue.drain()
        result.refresh()

        self.assertEqual((result.status, result.attempts), (TaskResultStatus.FAILED, 2))
        self.assertIs(result.errors[0].exception_class, LookupError)
        self.assertTrue(result.errors[0].traceback.rstrip().endswith("LookupError: nothing there"))
        with self.assertRaises(ValueError):
            result.return_value  # noqa: B018

    def test_signals_tell_of_the_life_of_a_task(self) -> None:
        told: list[tuple[str, str]] = []
        receivers = {
            "enqueued": lambda task_result, **_: told.append(("enqueued", task_result.status)),
            "started": lambda task_result, **_: told.append(("started", task_result.status)),
            "finished": lambda task_result, **_: told.append(("finished", task_result.status)),
        }
        signals = {"enqueued": task_enqueued, "started": task_started, "finished": task_finished}
        for name, signal in signals.items():
            signal.connect(receivers[name])
            self.addCleanup(signal.disconnect, receivers[name])

        add.enqueue(1)
        with self.assertLogs("django.tasks" if add.__module__.startswith("django.") else None):
            fail.using(max_attempts=1).enqueue("x")
            queue.drain()

        self.assertEqual([what for what, _ in told].count("enqueued"), 2)
        self.assertIn(("started", TaskResultStatus.RUNNING), told)
        self.assertIn(("finished", TaskResultStatus.SUCCESSFUL), told)
        self.assertIn(("finished", TaskResultStatus.FAILED), told)

    def test_a_task_may_be_given_its_context(self) -> None:
        result = attempts.enqueue()
        queue.drain(raises=True)
        result.refresh()

        self.assertEqual(result.return_value, 1)
        self.assertEqual(queue.get_job(result.id).progress, 10)

    def test_priority_delay_and_queue_are_those_of_the_job(self) -> None:
        later = add.using(priority=-7, queue_name="other", run_after=timedelta(hours=1)).enqueue(1)

        job = queue.get_job(later.id)

        self.assertEqual((job.priority, job.queue, str(job.state)), (-7, "other", "delayed"))
        self.assertGreater(job.delay_until, timezone.now() + timedelta(minutes=59))
        self.assertEqual(add.get_result(later.id).task.queue_name, "other")

    def test_what_cannot_be_stored_or_run_is_refused(self) -> None:
        with self.assertRaisesRegex(TypeError, "Unsupported type"):
            add.enqueue(object())
        with self.assertRaises(InvalidTask):
            add.using(priority=101)
        with self.assertRaises(InvalidTask):
            add.using(max_attempts=-1)

    def test_an_id_that_is_none_has_no_result(self) -> None:
        plain = queue.push("default", "send-receipt", {"order_id": 1})
        for result_id in ("x", "01a20fdd-71cc-7000-801c-ffc7faacb679", plain):
            with self.assertRaises(TaskResultDoesNotExist):
                add.get_result(result_id)

    def test_eager_tasks_run_at_once(self) -> None:
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"EAGER": True}}}):
            self.assertEqual(add.enqueue(1, 1).return_value, 2)
            self.assertEqual(fail.enqueue("x").status, TaskResultStatus.FAILED)

    def test_an_option_that_is_not_known_is_refused(self) -> None:
        wrong = {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"EAGRE": True}}
        with override_settings(TASKS={"default": wrong}), self.assertRaisesRegex(ImproperlyConfigured, "EAGER"):
            add.enqueue(1)


class TransactionsOfTasks(TransactionTestCase):  # type: ignore[misc]
    """What needs commits."""

    def test_a_task_is_rolled_back_with_the_rest(self) -> None:
        found: list[Any] = []
        with transaction.atomic():
            found.append(add.enqueue(1))
            transaction.set_rollback(True)

        with self.assertRaises(TaskResultDoesNotExist):
            add.get_result(found[0].id)

    def test_what_an_async_task_does_is_part_of_the_transaction(self) -> None:
        result = aadd.enqueue(3, 4)
        with transaction.atomic():
            order = Order.objects.create(email="a@shop")
            found = find_order.enqueue(order.pk)
            queue.drain(raises=True)
        result.refresh()
        found.refresh()

        self.assertEqual((result.return_value, found.return_value), (7, "a@shop"))

    async def test_event_loops_enqueue_and_look(self) -> None:
        result = await aadd.aenqueue(1, 2)
        await queue.adrain(raises=True)
        await result.arefresh()

        self.assertEqual(result.return_value, 3)
