"""Schedules: their timing, and how they are made and changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import QueuePaused, ScheduleNotFound, ValidationError
from pyqueue.core.shapes import schedule_object
from pyqueue.testing import FakeClock
from tests.core.timing import MINUTE_MS, START, at, count, minutely, runs

# --- timing ---------------------------------------------------------------------------------------


def test_a_cron_schedule_fires_at_its_first_match_and_not_before(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, job_data={"n": 1}, job_options={"priority": 7, "tags": ["t"]})
    clock.advance(ms=59_999)
    queue.housekeep()
    assert count(queue) == 0

    clock.advance(ms=1)
    report = queue.housekeep()

    [job] = queue.pull("q", count=9)
    assert (report.fired, report.next_due_at) == (1, at("00:02"))
    assert (job.name, job.data, job.priority, job.tags) == ("tick", {"n": 1}, 7, ("t",))
    assert job.metadata == {"schedule": {"name": "ticks", "due_at": "2030-01-01T00:01:00Z"}}
    schedule = queue.get_schedule("ticks")
    assert (schedule.execution_count, schedule.last_run_at, schedule.next_run_at) == (1, at("00:01"), at("00:02"))


def test_an_interval_does_not_drift_with_late_housekeeping(queue: PyQueue, clock: FakeClock) -> None:
    queue.create_schedule("ticks", "q", "tick", every_ms=10_000)

    for _ in range(3):
        clock.advance(ms=10_400)
        queue.housekeep()

    assert [f"{run.due_at:%S}" for run in queue.schedule_runs("ticks")] == ["30", "20", "10"]
    assert queue.get_schedule("ticks").next_run_at == at("00:00:40")


def test_an_interval_shorter_than_the_floor_fires_at_most_ten_times_a_second(queue: PyQueue, clock: FakeClock) -> None:
    queue.create_schedule("ticks", "q", "tick", every_ms=1)

    for _ in range(50):
        clock.advance(ms=10)
        queue.housekeep()

    assert count(queue) == 5


def test_a_schedule_that_fires_at_once_does_so_at_the_next_pass_and_then_by_its_timing(
    queue: PyQueue, clock: FakeClock
) -> None:
    created = minutely(queue, fires_at_once=True)
    queue.create_schedule("every", "q", "tick", every_ms=10_000, fires_at_once=True)
    clock.advance(ms=700)

    queue.housekeep()

    assert created.next_run_at is None and created.last_run_at is None
    assert count(queue) == 2
    assert queue.get_schedule("ticks").next_run_at == at("00:01")
    assert queue.get_schedule("every").next_run_at == START + timedelta(milliseconds=10_700)


def test_the_time_zone_of_a_schedule_is_that_of_its_expression(queue: PyQueue) -> None:
    nightly = queue.create_schedule("nightly", "q", "backup", cron_expr="30 2 * * *", timezone="Europe/Zurich")

    assert nightly.next_run_at == at("01:30")
    assert [f"{run:%d %H:%M %z}" for run in nightly.next_runs(2)] == ["01 02:30 +0100", "02 02:30 +0100"]


def test_a_schedule_fires_only_between_its_start_and_its_end(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, start_at=at("00:03"), end_at=at("00:05"))
    queue.create_schedule("every", "q2", "tick", every_ms=MINUTE_MS, start_at=at("00:03"), end_at=at("00:05"))

    for _ in range(10):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()

    expected = [("00:03", None), ("00:04", None), ("00:05", None)]
    assert runs(queue) == expected and runs(queue, "every") == expected
    assert queue.get_schedule("ticks").is_finished and queue.get_schedule("ticks").next_run_at is None


def test_a_schedule_pushes_no_more_than_its_maximum_and_resuming_it_changes_nothing(
    queue: PyQueue, clock: FakeClock
) -> None:
    minutely(queue, max_executions=2)
    for _ in range(4):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()

    queue.resume_schedule("ticks")
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()

    schedule = queue.get_schedule("ticks")
    assert (count(queue), schedule.execution_count, schedule.is_exhausted) == (2, 2, True)
    assert schedule_object(schedule)["paused"] is True and schedule_object(schedule)["next_run_at"] is None


def test_a_higher_maximum_lets_it_go_on(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, max_executions=1)
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()

    edited = queue.edit_schedule("ticks", max_executions=2)
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()

    assert edited.next_run_at == at("00:02")
    assert count(queue) == 2


def test_jitter_delays_each_job_within_its_bounds(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, jitter_ms=30_000, job_options={"delay_ms": 1_000})
    waits = []
    for _ in range(20):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()
        [newest] = queue.list_jobs(queue="q", limit=1).jobs
        assert newest.delay_until is not None
        waits.append((newest.delay_until - clock.now).total_seconds())

    assert all(1 <= wait <= 31 for wait in waits) and len(set(waits)) > 10


# --- making and changing --------------------------------------------------------------------------


def test_creating_one_again_keeps_its_history_its_pause_and_its_next_moment(queue: PyQueue, clock: FakeClock) -> None:
    first = minutely(queue)
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()
    queue.pause_schedule("ticks")
    clock.advance(ms=1_000)

    again = minutely(queue, job_data="new", fires_at_once=True)

    assert (again.created_at, again.execution_count, again.is_paused) == (first.created_at, 1, True)
    assert (again.last_run_at, again.next_run_at, again.job_data) == (at("00:01"), at("00:02"), "new")
    assert runs(queue) == [("00:01", None)]


def test_an_edit_changes_what_is_given_and_leaves_the_rest(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, job_data=1, overlap="skip", timezone="Europe/Zurich", job_options={"priority": 3})

    edited = queue.edit_schedule("ticks", every_ms=5_000, job_data=None, queue="other")

    assert (edited.cron_expr, edited.timezone, edited.every_ms) == (None, None, 5_000)
    assert (edited.job_data, edited.queue, edited.overlap, edited.job_options) == (
        None,
        "other",
        "skip",
        {"priority": 3},
    )
    assert edited.next_run_at == at("00:00:05")
    assert queue.edit_schedule("ticks", cron_expr="@hourly", overlap=None).overlap == "allow"


def test_an_edit_never_brings_back_a_moment_that_has_fired(path: Path, clock: FakeClock) -> None:
    behind = FakeClock(START - timedelta(seconds=2))
    with PyQueue(path, clock=clock) as ahead, PyQueue(path, clock=behind) as slow:
        minutely(ahead)
        clock.advance(ms=MINUTE_MS)
        behind.advance(ms=MINUTE_MS)
        ahead.housekeep()

        edited = slow.edit_schedule("ticks", cron_expr="*/1 * * * *")

    assert edited.next_run_at == at("00:02")


def test_a_paused_schedule_rests_through_a_restart_until_it_is_resumed(path: Path, clock: FakeClock) -> None:
    with PyQueue(path, clock=clock) as queue:
        minutely(queue)
        queue.pause_schedule("ticks")
    clock.advance(ms=5 * MINUTE_MS)

    with PyQueue(path, clock=clock) as queue:
        assert queue.housekeep().fired == 0 and queue.get_schedule("ticks").is_paused
        resumed = queue.resume_schedule("ticks")
        assert not resumed.is_paused and queue.housekeep().fired == 1


def test_a_moment_that_comes_while_nothing_runs_fires_after_the_restart(path: Path, clock: FakeClock) -> None:
    with PyQueue(path, clock=clock) as queue:
        minutely(queue)
    clock.advance(ms=MINUTE_MS)

    with PyQueue(path, clock=clock) as queue:
        assert [queue.housekeep().fired for _ in range(2)] == [1, 0]


def test_a_trigger_pushes_a_job_beside_timing_count_and_pause(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, max_executions=1)
    queue.pause_schedule("ticks")

    triggered = [queue.trigger_schedule("ticks") for _ in range(2)]

    schedule = queue.get_schedule("ticks")
    assert [queue.get_job(each).state for each in triggered] == [JobState.WAITING] * 2
    assert (schedule.execution_count, schedule.next_run_at, schedule.last_run_at) == (0, at("00:01"), START)
    assert [(run.is_manual, run.job_id) for run in queue.schedule_runs("ticks")] == [
        (True, triggered[1]),
        (True, triggered[0]),
    ]


def test_a_trigger_that_cannot_push_says_so(queue: PyQueue) -> None:
    minutely(queue)
    queue.pause("q")

    with pytest.raises(QueuePaused):
        queue.trigger_schedule("ticks")

    assert queue.schedule_runs("ticks") == []


def test_a_deleted_schedule_is_gone_and_its_jobs_stay(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue)
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()

    assert [queue.delete_schedule("ticks") for _ in range(2)] == [True, False]

    assert queue.list_schedules() == [] and count(queue) == 1


@pytest.mark.parametrize(
    "call",
    ["get_schedule", "pause_schedule", "resume_schedule", "trigger_schedule", "edit_schedule", "schedule_runs"],
)
def test_an_unknown_name_is_an_error_that_shows_it(queue: PyQueue, call: str) -> None:
    with pytest.raises(ScheduleNotFound, match="'nothing'") as refused:
        getattr(queue, call)("nothing")

    assert refused.value.code == "SCHEDULE_NOT_FOUND"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "cron_expr or every_ms"),
        ({"cron_expr": "* * * * *", "every_ms": 1_000}, "both of cron_expr and every_ms"),
        ({"cron_expr": "* * *"}, "Invalid cron"),
        ({"cron_expr": ["*"]}, "Invalid cron"),
        ({"every_ms": 0}, "every_ms 0"),
        ({"cron_expr": "@daily", "timezone": "Europe/Zuerich"}, "Europe/Zurich"),
        ({"cron_expr": "@daily", "timezone": "../etc/passwd"}, "IANA"),
        ({"every_ms": 1_000, "timezone": "Europe/Zurich"}, "Leave it out"),
        ({"every_ms": 1_000, "max_executions": 0}, "max_executions 0"),
        ({"every_ms": 1_000, "misfire": "later"}, "skip, run_once, backfill"),
        ({"every_ms": 1_000, "overlap": "never"}, "allow, skip, queue"),
        ({"every_ms": 1_000, "backfill_max": 1_001}, "1 to 1000"),
        ({"every_ms": 1_000, "jitter_ms": -1}, "jitter_ms -1"),
        ({"every_ms": 1_000, "start_at": datetime(2030, 1, 1)}, "time zone"),
        ({"every_ms": 1_000, "start_at": at("00:02"), "end_at": at("00:01")}, "before start_at"),
        ({"every_ms": 1_000, "job_options": {"priorty": 1}}, "priorty"),
        ({"every_ms": 1_000, "job_options": {"run_at": at("00:02")}}, "delay_ms"),
        ({"every_ms": 1_000, "job_options": [1]}, "mapping"),
        ({"every_ms": 1_000, "cronn": 1}, "cronn"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_made(queue: PyQueue, options: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as refused:
        queue.create_schedule("ticks", "q", "tick", **options)

    assert part in str(refused.value)
    assert queue.list_schedules() == []


def test_the_object_has_every_key_of_the_wire_format(queue: PyQueue) -> None:
    minutely(queue, job_options={"priority": 3, "backoff": "fixed"}, fires_at_once=True)

    shape = schedule_object(queue.get_schedule("ticks"))

    assert list(shape)[:15] == [
        "name", "queue", "job_name", "job_data", "job_options", "cron_expr", "every_ms", "timezone", "max_executions",
        "execution_count", "paused", "last_run_at", "next_run_at", "created_at", "updated_at",
    ]  # fmt: skip
    assert shape["job_options"] == {
        "priority": 3, "delay_ms": None, "max_attempts": None, "backoff": "fixed", "backoff_delay_ms": None,
        "ttl_ms": None, "timeout_ms": None, "unique_key": None, "tags": None, "group_id": None, "lifo": None,
        "remove_on_complete": None, "remove_on_fail": None, "custom_id": None, "depends_on": None, "flow_id": None,
    }  # fmt: skip
    assert (shape["next_run_at"], shape["created_at"], shape["paused"]) == (None, "2030-01-01T00:00:00Z", False)


async def _twins(queue: PyQueue) -> list[object]:
    created = await queue.acreate_schedule("ticks", "q", "tick", every_ms=1_000)
    edited = await queue.aedit_schedule("ticks", every_ms=2_000)
    paused, resumed = await queue.apause_schedule("ticks"), await queue.aresume_schedule("ticks")
    triggered = await queue.atrigger_schedule("ticks")
    [run] = await queue.aschedule_runs("ticks")
    listed = await queue.alist_schedules()
    got = await queue.aget_schedule("ticks")
    return [
        created.every_ms, edited.every_ms, paused.is_paused, resumed.is_paused, run.job_id == triggered,
        len(listed), got.name, await queue.adelete_schedule("ticks"),
    ]  # fmt: skip


def test_each_call_has_a_twin_for_event_loops(queue: PyQueue) -> None:
    import asyncio

    assert asyncio.run(_twins(queue)) == [1_000, 2_000, True, False, True, 1, "ticks", True]
