"""Leases: one owner at a time, and late work changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from pyqueue import Job, JobState, PyQueue
from pyqueue.core.errors import InvalidState, LeaseLost
from pyqueue.testing import FakeClock

LATE: dict[str, Callable[[PyQueue, Job], object]] = {
    "ack": lambda queue, job: queue.ack(job),
    "fail": lambda queue, job: queue.fail(job, "late"),
    "release": lambda queue, job: queue.release(job),
    "heartbeat": lambda queue, job: queue.heartbeat(job),
    "progress": lambda queue, job: queue.progress(job, 99, "late"),
}


@pytest.mark.parametrize("verb", LATE)
def test_late_work_after_the_job_was_handed_out_again_changes_nothing(
    queue: PyQueue, clock: FakeClock, verb: str
) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    [first] = queue.pull("q", lease_ms=1_000)
    clock.advance(ms=1_000)
    assert queue.housekeep().stalled == 1
    [second] = queue.pull("q", lease_ms=1_000)
    before = queue.get_job(job_id)

    with pytest.raises(LeaseLost, match=r"handed out again \(lease 2; given 1\)"):
        LATE[verb](queue, first)

    after = queue.get_job(job_id)
    assert (after.state, after.lease, after.lease_until, after.progress) == (
        before.state,
        second.lease,
        before.lease_until,
        None,
    )


@pytest.mark.parametrize("verb", LATE)
def test_late_work_after_the_lease_was_taken_back_is_refused(queue: PyQueue, clock: FakeClock, verb: str) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q", lease_ms=1_000)
    clock.advance(ms=1_000)
    queue.housekeep()

    with pytest.raises(InvalidState, match="Delayed"):
        LATE[verb](queue, job)


def test_a_pull_takes_back_a_lapsed_lease_without_any_housekeeping(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    queue.pull("q", lease_ms=1_000)
    assert queue.pull("q") == []
    clock.advance(ms=1_000)

    [job] = queue.pull("q")

    assert (job.id, job.lease, job.attempt) == (job_id, 2, 1)


def test_a_stall_counts_as_a_failed_attempt_and_says_who(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", max_attempts=1)
    queue.pull("q", lease_ms=1_000, worker_id="w7")
    clock.advance(ms=999)
    assert queue.housekeep().stalled == 0
    clock.advance(ms=1)

    assert queue.housekeep().stalled == 1

    job = queue.get_job(job_id)
    assert (job.state, job.attempt) == (JobState.DLQ, 1)
    assert "stalled (no heartbeat): worker w7" in str(job.last_error)
    assert queue.attempts(job_id)[0].worker_id == "w7"


def test_heartbeats_keep_a_lease_alive(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q", lease_ms=1_000)
    for _ in range(5):
        clock.advance(ms=900)
        assert queue.heartbeat(job, lease_ms=1_000).lease_until == clock.now + timedelta(seconds=1)
        assert queue.housekeep().stalled == 0

    queue.ack(job)


def test_a_heartbeat_of_an_earlier_run_does_not_count_for_the_next(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    [job] = queue.pull("q")
    queue.heartbeat(job)
    queue.fail(job, "broken")
    clock.advance(seconds=3_600)

    queue.pull("q")

    assert queue.get_job(job_id).last_heartbeat is None
    assert queue.housekeep().stalled == 0


def test_heartbeat_many_answers_for_each(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "n"}] * 2)
    one, two = queue.pull("q", count=2)
    queue.ack(one)

    refused, extended = queue.heartbeat_many([one, two])

    assert isinstance(refused, InvalidState)
    assert not isinstance(extended, Exception)
    assert not extended.cancel_requested


def test_a_clock_that_goes_back_does_no_harm(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n", delay_ms=1_000)
    clock.advance(seconds=-5)
    assert queue.pull("q") == []
    clock.advance(seconds=6)
    [job] = queue.pull("q")
    clock.advance(seconds=-5)

    assert queue.housekeep().stalled == 0
    queue.ack(job)


def test_housekeeping_says_when_it_is_due_next(queue: PyQueue, clock: FakeClock) -> None:
    assert queue.housekeep().next_due_at is None
    queue.push("q", "n", delay_ms=70_000)
    queue.push("q", "n", ttl_ms=50_000)
    assert queue.housekeep().next_due_at == clock.now + timedelta(seconds=50)
    queue.pull("q", lease_ms=20_000)

    assert queue.housekeep().next_due_at == clock.now + timedelta(seconds=20)


def test_housekeeping_works_in_chunks_until_all_is_done(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("q", [{"name": "n", "delay_ms": 1}] * 1_300)
    queue.push_many("q", [{"name": "n", "ttl_ms": 1}] * 1_300)
    queue.push_many("run", [{"name": "n"}] * 1_300)
    queue.pull("run", count=1_300, lease_ms=10)
    clock.advance(ms=10)

    report = queue.housekeep()

    assert (report.promoted, report.expired, report.stalled) == (1_300, 1_300, 1_300)


def test_finished_jobs_are_removed_when_they_were_kept_long_enough(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("done", [{"name": "n"}] * 1_200)
    queue.ack_many(queue.pull("done", count=1_200))
    queue.cancel(queue.push("q", "cancelled"))
    queue.push("q", "dead", max_attempts=1)
    queue.fail(queue.pull("q")[0], "broken")
    kept = queue.push("q", "waiting")

    removed = []
    for days in (6.9, 0.2, 22.8, 0.2, 59.8, 0.2):
        clock.advance(seconds=days * 86_400)
        removed.append(queue.housekeep().removed)

    assert removed == [0, 1_200, 0, 1, 0, 1]
    assert [job.id for job in queue.list_jobs().jobs] == [kept]
    assert queue.attempts(kept) == []
