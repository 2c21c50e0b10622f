"""What comes of the moments of schedules: missed ones, overlapping jobs, queues that refuse, and who is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyqueue import PyQueue, ScheduleRun, signals
from pyqueue.core.store.transaction import Transaction
from pyqueue.testing import FakeClock
from tests.core.timing import MINUTE_MS, at, count, minutely, runs
from tests.waiting import eventually


def test_housekeeping_sleeps_until_the_next_moment_and_is_woken_by_a_new_schedule(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.start_housekeeping()
        queue.create_schedule("ticks", "q", "tick", every_ms=300)
        eventually(lambda: count(queue) >= 5, what="the fifth job")
        late = [(run.fired_at - run.due_at).total_seconds() for run in queue.schedule_runs("ticks")]

    assert sorted(late)[len(late) // 2] < 0.2, late


# --- misfires -------------------------------------------------------------------------------------


def test_missed_moments_run_once_by_default(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue)
    clock.advance(ms=60 * MINUTE_MS)

    queue.housekeep()

    assert runs(queue) == [("00:01", None)]
    assert queue.get_schedule("ticks").next_run_at == at("01:01")


def test_missed_moments_are_passed_over_when_asked_to_and_that_is_shown(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, misfire="skip")
    clock.advance(ms=MINUTE_MS + 59_000)  # late, but not missed
    queue.housekeep()
    clock.advance(ms=60 * MINUTE_MS)

    queue.housekeep()

    assert runs(queue) == [("00:01", None), ("00:02", "missed by 3,599 s, and passed over (misfire: skip)")]
    assert count(queue) == 1 and queue.get_schedule("ticks").last_error is None


def test_missed_moments_are_made_up_for_up_to_the_newest_so_many(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, misfire="backfill", backfill_max=3)
    clock.advance(ms=600 * MINUTE_MS)

    report = queue.housekeep()

    assert report.fired == 3
    assert runs(queue) == [("09:58", None), ("09:59", None), ("10:00", None)]
    moments = [job.metadata["schedule"]["due_at"][11:16] for job in queue.pull("q", count=9)]
    assert moments == ["09:58", "09:59", "10:00"]


def test_making_up_stops_at_the_maximum(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, misfire="backfill", max_executions=2)
    clock.advance(ms=5 * MINUTE_MS)

    queue.housekeep()

    assert count(queue) == 2 and queue.get_schedule("ticks").is_finished


# --- overlap --------------------------------------------------------------------------------------


def test_jobs_of_a_schedule_may_overlap_by_default(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue)
    for _ in range(3):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()

    assert count(queue) == 3


def test_a_moment_is_skipped_while_the_job_before_has_not_finished(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, overlap="skip")
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()
    [job] = queue.pull("q", lease_ms=3_600_000)
    for _ in range(30):  # more than the runs that are kept
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()
    assert count(queue) == 1

    queue.ack(job)
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()

    assert count(queue) == 2
    assert runs(queue)[-2:] == [("00:31", f"job {job.id} has not finished (overlap: skip)"), ("00:32", None)]


@pytest.mark.parametrize("ending", ["ack", "fail", "cancel", "delete"])
def test_a_moment_waits_for_the_job_before_however_that_ends_and_only_one_waits(
    queue: PyQueue, clock: FakeClock, ending: str
) -> None:
    minutely(queue, overlap="queue")
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()
    [job] = queue.pull("q", lease_ms=3_600_000) if ending in ("ack", "fail") else [None]
    for _ in range(3):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()
    if job is None:
        [first] = queue.list_jobs(queue="q").jobs
        assert [error is None for _, error in runs(queue)] == [True, False, False, False]
        getattr(queue, ending)(first.id)
    else:
        [waiting] = queue.list_jobs(queue="q", state="blocked").jobs
        assert f"job {waiting.id} is still waiting (overlap: queue)" == runs(queue)[-1][1]
        queue.ack(job) if ending == "ack" else queue.fail(job, "broken", retry=False)
        [next_job] = queue.pull("q")
        assert next_job.id == waiting.id
        queue.ack(next_job)

    clock.advance(ms=MINUTE_MS)
    assert queue.housekeep().fired == 1
    assert len(queue.pull("q")) == 1


# --- queues that refuse ---------------------------------------------------------------------------


def test_a_queue_that_refuses_is_shown_and_warned_of_once_and_the_timing_goes_on(
    queue: PyQueue, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    minutely(queue)
    queue.pause("q")
    for _ in range(3):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()

    schedule = queue.get_schedule("ticks")
    assert schedule.last_error is not None and "paused" in schedule.last_error
    assert (schedule.execution_count, schedule.last_run_at, schedule.next_run_at) == (0, None, at("00:04"))
    assert [error == schedule.last_error for _, error in runs(queue)] == [True] * 3
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["schedule pushes no jobs"]

    queue.resume("q")
    clock.advance(ms=MINUTE_MS)
    queue.housekeep()

    assert queue.get_schedule("ticks").last_error is None and count(queue) == 1


def test_a_unique_key_that_is_held_keeps_the_jobs_of_a_schedule_apart(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue, job_options={"unique_key": "one"})
    for _ in range(2):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()

    assert count(queue) == 1
    assert "Unique key" in str(runs(queue)[1][1]) or "unique key" in str(runs(queue)[1][1])


@pytest.mark.sqlite("writes into the file")
def test_a_schedule_that_cannot_be_read_here_waits_and_keeps_none_of_the_others_up(
    queue: PyQueue, clock: FakeClock
) -> None:
    minutely(queue)
    queue.create_schedule("strange", "q", "tick", cron_expr="* * * * *", timezone="UTC")
    queue._runtime.write(_SendToMars())
    clock.advance(ms=MINUTE_MS)

    report = queue.housekeep()

    strange = queue.get_schedule("strange")
    assert report.fired == 1
    assert strange.last_error is not None and "Mars/Olympus" in strange.last_error
    assert strange.next_run_at == at("00:02")


class _SendToMars:
    """Writes a zone that no machine knows, as a newer one might know it."""

    durable = True

    def run(self, tx: Transaction) -> None:
        tx.execute("UPDATE pyqueue_schedule SET timezone = 'Mars/Olympus' WHERE name = 'strange'")


# --- what is told ---------------------------------------------------------------------------------


def test_a_signal_tells_of_each_moment(queue: PyQueue, clock: FakeClock) -> None:
    told: list[ScheduleRun] = []

    def note(sender: PyQueue, run: ScheduleRun) -> None:
        told.append(run)

    with signals.schedule_fired.connected_to(note, sender=queue):
        minutely(queue)
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()
        manual = queue.trigger_schedule("ticks")
        queue._runtime.announcer.drain(5)

    assert [(run.schedule, run.job_id is not None, run.is_manual) for run in told] == [
        ("ticks", True, False),
        ("ticks", True, True),
    ]
    assert told[0].due_at == told[0].fired_at == at("00:01") and told[1].job_id == manual


def test_only_the_newest_runs_are_kept(queue: PyQueue, clock: FakeClock) -> None:
    minutely(queue)
    for _ in range(25):
        clock.advance(ms=MINUTE_MS)
        queue.housekeep()

    assert len(queue.schedule_runs("ticks")) == 20 and runs(queue)[-1] == ("00:25", None)
    assert len(queue.schedule_runs("ticks", limit=3)) == 3
