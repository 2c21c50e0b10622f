"""What the admin shows of jobs, and does to them: run by Django's test runner."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs
from shop.tasks import send_receipt  # type: ignore[import-not-found]

from pyqueue import JobState
from pyqueue.contrib.django import queue
from pyqueue.contrib.django.models import Job
from pyqueue.core.errors import QueuePaused

JOBS, QUEUES, SCHEDULES = (f"/admin/pyqueue/{name}/" for name in ("job", "queue", "schedule"))


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

    def test_the_list_asks_nothing_for_each_row(self) -> None:
        for number in range(30):
            send_receipt.push(number)
        self.client.get(JOBS)

        with self.assertNumQueries(8):
            self.client.get(JOBS)

    def test_pages_begin_where_others_end_whatever_is_pushed_meanwhile(self) -> None:
        pushed = [send_receipt.push(number) for number in range(120)]
        first = self.client.get(JOBS)
        send_receipt.push(120)

        second = self.client.get(JOBS + first.context["cl"].older_link)
        third = self.client.get(JOBS + second.context["cl"].older_link)
        back = self.client.get(JOBS + third.context["cl"].newer_link)

        self.assertEqual(_shown(first) + _shown(second) + _shown(third), pushed[::-1])
        self.assertEqual(_shown(back), _shown(second))
        self.assertIsNone(first.context["cl"].newer_link)
        self.assertIsNone(third.context["cl"].older_link)
        self.assertContains(third, "121 jobs")

    def test_filters_show_their_jobs_and_count_them(self) -> None:
        emails = [queue.push("emails", "greet", {}), queue.push("emails", "greet", {}, delay_ms=60_000)]
        other = send_receipt.push(1)
        for filters, found in [
            ({"queue": "emails"}, emails[::-1]),
            ({"state__exact": JobState.WAITING.code}, [other, emails[0]]),
            ({"state__exact": JobState.DELAYED.code, "queue": "emails"}, [emails[1]]),
            ({"pushed": "1", "q": "greet"}, emails[::-1]),
            ({"state__exact": JobState.DLQ.code}, []),
            ({"state__exact": "9", "pushed": "x"}, []),
        ]:
            page = self.client.get(JOBS, filters)

            self.assertEqual(_shown(page), found, filters)
            self.assertEqual(page.context["cl"].result_count, len(found))

    def test_the_indexes_are_used_by_every_filter_of_a_state(self) -> None:
        used = {
            JobState.WAITING: "pyqueue_job_ready",
            JobState.DELAYED: "pyqueue_job_due",
            JobState.BLOCKED: "pyqueue_job_blocked",
            JobState.ACTIVE: "pyqueue_job_lease",
            JobState.DLQ: "pyqueue_job_dlq",
            JobState.CANCELLED: "pyqueue_job_cancelled",
        }
        _push_one_of_each_state("emails")
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":  # To scan a table of a few rows is cheaper than any index.
                cursor.execute("SET LOCAL enable_seqscan = off")
        for state, index in used.items():
            for place in ({}, {"older": "9" * 18}, {"newer": "1"}, {"queue": "emails"}):
                with CaptureQueriesContext(connection) as asked:
                    self.client.get(JOBS, {"state__exact": state.code, **place})

                [plan] = [_plan(sql) for sql in (each["sql"] for each in asked) if f'"state" = {state.code}' in sql]
                self.assertIn(index, plan, (state, place))

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

    def test_all_that_a_filter_finds_is_requeued_at_once(self) -> None:
        dead = [send_receipt.options(max_attempts=1).push(number) for number in range(60)]
        kept = queue.push("other", "send-receipt", {"order_id": 1}, max_attempts=1)
        queue.drain()

        filters = {"state__exact": JobState.DLQ.code, "queue": "default"}
        page = self.client.get(JOBS, filters)
        self.assertContains(page, "Select all 60 jobs")
        chosen = {"action": "retry", "select_across": "1", "_selected_action": [Job.objects.first().pk]}
        said = self.client.post(f"{JOBS}?{urlencode(filters)}", chosen, follow=True)

        self.assertContains(said, "60 retried")
        self.assertEqual({queue.get_job(job).state for job in dead}, {JobState.WAITING})
        self.assertEqual(queue.get_job(kept).state, JobState.DLQ)
        self.assertEqual(LogEntry.objects.filter(change_message__contains="retried").count(), 60)

    def test_each_action_needs_its_own_permission(self) -> None:
        looker = User.objects.create_user("looker", is_staff=True)
        looks = ("view_job", "view_queue", "view_schedule")
        looker.user_permissions.set(Permission.objects.filter(codename__in=looks))
        self.client.force_login(looker)
        pushed = send_receipt.push(1)
        queue.create_schedule("nightly", "reports", "report", cron_expr="0 3 * * *")
        everything: list[tuple[str, str, str, str]] = [
            (JOBS, "cancel", str(Job.objects.get().pk), "cancel_job"),
            (JOBS, "retry", str(Job.objects.get().pk), "retry_job"),
            (QUEUES, "pause", "default", "pause_queue"),
            (QUEUES, "requeue", "default", "retry_job"),
            (SCHEDULES, "run", "nightly", "run_schedule"),
            (SCHEDULES, "pause", "nightly", "pause_schedule"),
            (JOBS, "remove", str(Job.objects.get().pk), "delete_job"),
        ]
        for place, action, row, _ in everything:
            self.client.post(place, {"action": action, "_selected_action": [row]})
            self.assertEqual(LogEntry.objects.count(), 0, action)
        self.assertEqual(queue.get_job(pushed).state, JobState.WAITING)
        self.assertEqual(self.client.get(f"{SCHEDULES}nightly/change/").context["has_change_permission"], False)
        self.assertEqual(self.client.get(f"{SCHEDULES}add/").status_code, 403)

        for place, action, row, codename in everything:
            allowed = Permission.objects.get(codename=codename)
            looker.user_permissions.add(allowed)
            before = LogEntry.objects.count()
            self.client.post(place, {"action": action, "_selected_action": [row]})
            looker.user_permissions.remove(allowed)
            self.assertEqual(LogEntry.objects.count(), before + 1, action)

    def test_queues_are_listed_paused_and_resumed_with_or_without_a_row(self) -> None:
        send_receipt.push(1)
        page = self.client.get(QUEUES)
        self.assertContains(page, "?queue=default")

        self._act_on(QUEUES, "pause", "default")
        self.assertEqual(queue.pull("default"), [])
        self.assertContains(self.client.get(QUEUES), "pulls")
        self._act_on(QUEUES, "stop_pushes", "default")
        with self.assertRaises(QueuePaused):
            send_receipt.push(2)
        self._act_on(QUEUES, "resume", "default")

        self.assertEqual(len(queue.pull("default")), 1)

    def test_all_dead_letters_of_a_queue_are_retried(self) -> None:
        for number in range(3):
            send_receipt.options(max_attempts=1).push(number)
        queue.drain()

        said = self._act_on(QUEUES, "requeue", "default")

        self.assertContains(said, "3 jobs retried")
        self.assertEqual(queue.stats("default").waiting, 3)

    def test_schedules_are_run_paused_and_resumed(self) -> None:
        queue.create_schedule("nightly", "reports", "report", cron_expr="0 3 * * *")

        self._act_on(SCHEDULES, "run", "nightly")
        self._act_on(SCHEDULES, "pause", "nightly")

        self.assertEqual(queue.stats("reports").waiting, 1)
        self.assertTrue(queue.get_schedule("nightly").is_paused)
        self._act_on(SCHEDULES, "resume", "nightly")
        self.assertFalse(queue.get_schedule("nightly").is_paused)

    def test_schedules_are_made_changed_and_deleted_by_the_engine(self) -> None:
        given = {
            "name": "nightly", "queue": "reports", "job_name": "report", "job_data": '{"day": 1}',
            "cron_expr": "0 3 * * *", "timezone": "Europe/Zurich", "misfire": "skip", "backfill_max": "10",
            "overlap": "allow", "jitter_ms": "0", "job_options": '{"max_attempts": 5}',
        }  # fmt: skip
        made = self.client.post(f"{SCHEDULES}add/", given)
        self.assertEqual(made.status_code, 302)
        before = queue.get_schedule("nightly")

        page = self.client.get(f"{SCHEDULES}nightly/change/")
        self.assertContains(page, "Europe/Zurich")
        kept = {name: value for name, value in given.items() if name not in ("name", "timezone", "cron_expr")}
        changes = {**kept, "every_ms": "60000", "start_at_0": "2030-01-01", "start_at_1": "00:00:00"}
        refused = self.client.post(f"{SCHEDULES}nightly/change/", {**kept, "cron_expr": "99 * * * *"})
        changed = self.client.post(f"{SCHEDULES}nightly/change/", changes)

        self.assertContains(refused, "99")
        self.assertEqual(changed.status_code, 302)
        after = queue.get_schedule("nightly")
        self.assertEqual(
            (before.cron_expr, before.timezone, before.job_data), ("0 3 * * *", "Europe/Zurich", {"day": 1})
        )
        self.assertEqual((after.cron_expr, after.timezone, after.every_ms), (None, None, 60_000))
        self.assertEqual(after.start_at, datetime(2030, 1, 1, tzinfo=UTC))
        self.assertEqual((after.job_data, after.job_options), ({"day": 1}, {"max_attempts": 5}))
        self.assertEqual(LogEntry.objects.filter(object_id="nightly").count(), 2)

        self.client.post(f"{SCHEDULES}nightly/delete/", {"post": "yes"})
        self.assertEqual(queue.list_schedules(), [])

    def test_schedules_in_code_are_looked_at(self) -> None:
        queue.sync_schedules()
        page = self.client.get(f"{SCHEDULES}hourly/change/")

        self.assertContains(page, "0 * * * *")
        self.assertNotContains(page, 'name="_save"')
        self.client.post(f"{SCHEDULES}hourly/change/", {"queue": "other"})
        self.assertEqual(queue.get_schedule("hourly").queue, "reports")

    def test_a_site_of_its_own_has_the_same_pages(self) -> None:
        pushed = send_receipt.push(1)

        for place in ("job", "queue", "schedule"):
            self.assertContains(self.client.get(f"/back-office/pyqueue/{place}/"), "/back-office/pyqueue/")
        self.assertContains(self.client.get("/back-office/pyqueue/queue/"), "/back-office/pyqueue/job/?queue=default")
        key = Job.objects.get().pk
        self.client.post("/back-office/pyqueue/job/", {"action": "cancel", "_selected_action": [key]})
        self.assertEqual(queue.get_job(pushed).state, JobState.CANCELLED)

    def _act(self, action: str, job_id: str) -> Any:
        return self._act_on(JOBS, action, Job.objects.by_job_id(job_id).get().pk)

    def _act_on(self, place: str, action: str, row: Any) -> Any:
        return self.client.post(place, {"action": action, "_selected_action": [row]}, follow=True)


def _push_one_of_each_state(name: str) -> None:
    """Of those that have an index."""
    queue.push(name, "greet", {}, max_attempts=1)
    [job] = queue.pull(name)
    queue.fail(job, "no")
    queue.push(name, "greet", {})
    queue.pull(name)
    queue.cancel(queue.push(name, "greet", {}))
    waiting = queue.push(name, "greet", {})
    queue.push(name, "greet", {}, depends_on=[waiting])
    queue.push(name, "greet", {}, delay_ms=60_000)


def _shown(page: Any) -> list[str]:
    """The ids of the jobs on a page."""
    return [job.job_id for job in page.context["cl"].result_list]


def _plan(sql: str) -> str:
    """How the database would answer."""
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}".replace("%", "%%"), [])
        return "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())
