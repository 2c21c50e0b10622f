"""One run, one owner: a token that grows with every run decides whose word counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import InvalidState, LeaseLost, PyQueueError
from pyqueue.testing import FakeClock


def hand_out_twice(queue: PyQueue, clock: FakeClock) -> tuple[str, int, int]:
    """The id of an active job, the token of its lost run, and that of its present one."""
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    [first] = queue.pull("q", lease_ms=1_000)
    clock.advance(seconds=1)
    queue.housekeep()
    [second] = queue.pull("q", lease_ms=1_000)
    assert first.lease is not None
    assert second.lease is not None
    return job_id, first.lease, second.lease


def test_the_token_grows_with_every_run_and_survives_a_retry(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", max_attempts=1)
    tokens = []
    for _ in range(4):
        [job] = queue.pull("q")
        tokens.append(job.lease)
        queue.fail(job, "broken")
        queue.retry(job_id)

    assert tokens == [1, 2, 3, 4]
    assert queue.get_job(job_id).lease is None


def test_an_id_with_the_right_token_is_as_good_as_the_job(queue: PyQueue, clock: FakeClock) -> None:
    job_id, lost, held = hand_out_twice(queue, clock)
    for call in (
        lambda: queue.ack(job_id, lease=lost),
        lambda: queue.fail(job_id, "late", lease=lost),
        lambda: queue.release(job_id, lease=lost),
        lambda: queue.heartbeat(job_id, lease=lost),
        lambda: queue.progress(job_id, 9, lease=lost),
    ):
        with pytest.raises(LeaseLost, match=rf"lease {held}; given {lost}"):
            call()

    queue.progress(job_id, 50, lease=held)
    queue.heartbeat(job_id, lease=held)
    queue.ack(job_id, "done", lease=held)

    assert (queue.get_job(job_id).result, queue.get_job(job_id).progress) == ("done", 50)


def test_a_token_of_the_future_is_refused_too(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")
    queue.pull("q")

    with pytest.raises(LeaseLost):
        queue.ack(job_id, lease=2)

    assert queue.get_job(job_id).state is JobState.ACTIVE


def test_batches_judge_each_token_by_itself(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("q", [{"name": "n", "backoff_delay_ms": 0}] * 3)
    lost = queue.pull("q", count=3, lease_ms=1_000)
    clock.advance(seconds=1)
    queue.housekeep()
    held = queue.pull("q", count=2)

    beats = queue.heartbeat_many([*lost, *held, "nonsense"])
    acks = queue.ack_many([*lost, *held, "nonsense"])

    expected = ["LEASE_LOST", "LEASE_LOST", "INVALID_STATE", None, None, "VALIDATION_ERROR"]
    assert [beat.code if isinstance(beat, PyQueueError) else None for beat in beats] == expected
    assert [None if ack.error is None else ack.error.code for ack in acks] == expected
    assert queue.stats("q").completed == 2


def test_an_ack_of_a_stale_and_of_the_present_run_in_one_call(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    [stale] = queue.pull("q", lease_ms=1_000)
    clock.advance(seconds=1)
    queue.housekeep()
    [present] = queue.pull("q")

    results = queue.ack_many([(stale, "stale"), (present, "present"), (present, "again")])

    assert [result.error and result.error.code for result in results] == ["LEASE_LOST", None, "INVALID_STATE"]
    assert queue.get_job(job_id).result == "present"


def test_work_that_is_late_but_missed_by_nobody_counts(queue: PyQueue, clock: FakeClock) -> None:
    """Until housekeeping has taken the job back nobody else can have it, so the work is not thrown away."""
    queue.push_many("q", [{"name": "n"}] * 2)
    acked, extended = queue.pull("q", count=2, lease_ms=1_000)
    clock.advance(seconds=5)

    queue.ack(acked)
    until = queue.heartbeat(extended, lease_ms=1_000).lease_until

    assert until == clock.now + timedelta(seconds=1)
    assert queue.housekeep().stalled == 0
    assert queue.get_job(acked).state is JobState.COMPLETED


def test_the_reason_tells_a_timeout_from_a_stall(queue: PyQueue, clock: FakeClock) -> None:
    timed_out, stalled, both = (
        queue.push("q", "n", timeout_ms=timeout_ms, max_attempts=1) for timeout_ms in (2_000, 60_000, 1_000)
    )
    jobs = queue.pull("q", count=3, lease_ms=1_000, worker_id="w")
    clock.advance(ms=900)
    queue.heartbeat(jobs[0], lease_ms=30_000)
    clock.advance(ms=1_100)

    report = queue.housekeep()

    assert (report.timed_out, report.stalled) == (2, 1)
    reasons = {job_id: str(queue.get_job(job_id).last_error) for job_id in (timed_out, stalled, both)}
    assert "timed out after 2000 ms" in reasons[timed_out]
    assert "stalled (no heartbeat): worker w" in reasons[stalled]
    assert "timed out after 1000 ms" in reasons[both]


def test_no_heartbeat_carries_a_run_beyond_its_timeout(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("q", [{"name": "n", "timeout_ms": 10_000}] * 3)
    jobs = queue.pull("q", count=3, lease_ms=60_000)
    end = clock.now + timedelta(seconds=10)
    assert [job.lease_until for job in jobs] == [end] * 3

    for _ in range(9):
        clock.advance(seconds=1)
        assert all(
            not isinstance(beat, PyQueueError) and beat.lease_until <= end for beat in queue.heartbeat_many(jobs)
        )
    clock.advance(seconds=1)

    assert queue.housekeep().timed_out == 3


def test_a_timeout_counts_from_the_start_of_each_run(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n", timeout_ms=1_000, backoff_delay_ms=0)
    queue.pull("q")
    clock.advance(seconds=1)
    assert queue.housekeep().timed_out == 1
    clock.advance(ms=900)

    [job] = queue.pull("q")
    clock.advance(ms=999)

    assert queue.housekeep().timed_out == 0
    queue.ack(job)


def test_a_run_that_is_over_lets_nobody_in_even_without_a_token(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n")
    queue.pull("q", lease_ms=1_000)
    clock.advance(seconds=1)
    queue.housekeep()
    before = queue.get_job(job_id)

    for call in (queue.ack, queue.heartbeat, queue.release, lambda each: queue.fail(each, "late")):
        with pytest.raises(InvalidState, match="Its run is over"):
            call(job_id)

    after = queue.get_job(job_id)
    assert (after.state, after.attempt, after.updated_at) == (JobState.DELAYED, 1, before.updated_at)


@pytest.mark.parametrize("back_seconds", [1, 30, 3_600])
def test_a_clock_that_goes_back_during_a_run_ends_no_run(queue: PyQueue, clock: FakeClock, back_seconds: int) -> None:
    job_id = queue.push("q", "n", timeout_ms=20_000)
    [job] = queue.pull("q", lease_ms=10_000)
    clock.advance(seconds=-back_seconds)

    assert queue.housekeep().stalled == 0
    queue.heartbeat(job, lease_ms=10_000)
    queue.progress(job, 5, "still here")
    clock.advance(seconds=9)
    assert queue.housekeep().stalled == 0
    queue.ack(job)

    done = queue.get_job(job_id)
    assert done.state is JobState.COMPLETED
    assert done.completed_at == clock.now


def test_a_delay_outlasts_a_clock_that_goes_back(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n", delay_ms=1_000)
    clock.advance(seconds=-60)
    queue.push("q", "younger")

    names = [job.name for job in queue.pull("q", count=9)]
    clock.advance(seconds=61)

    assert names == ["younger"]
    assert [job.name for job in queue.pull("q", count=9)] == ["n"]


def test_a_batch_may_name_the_lease_of_each_id(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    [first] = queue.pull("q", lease_ms=1_000)
    clock.advance(ms=1_001)
    queue.housekeep()
    [second] = queue.pull("q")

    [late] = queue.ack_many([(job_id, None, first.lease)])
    [timely] = queue.ack_many([(job_id, None, second.lease)])

    assert isinstance(late.error, LeaseLost)
    assert timely.ok


def test_neighbours_are_judged_one_by_one_where_they_are_not_alike(queue: PyQueue) -> None:
    ids = queue.push_many("q", [{"name": "n"}] * 3)
    other = queue.push("other", "n")
    jobs = {job.id: job for job in queue.pull(["q", "other"], count=4)}
    queue.release(jobs[ids[1]])
    queue.ack(jobs[ids[2]])
    [again] = queue.pull("q")

    first = queue.ack_many([(ids[0], None, 2), (ids[1], None, 1), ids[2], other])
    second = queue.ack_many([(ids[0], None, 1), (ids[1], None, again.lease)])

    assert [type(each.error) for each in first] == [LeaseLost, LeaseLost, InvalidState, type(None)]
    assert all(each.ok for each in second)
    assert [queue.stats(name).completed for name in ("q", "other")] == [3, 1]
