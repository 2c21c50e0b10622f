"""Cancel, retry, delete, purge: what they do from each state, and what they leave alone."""

from __future__ import annotations

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import DuplicateKey, InvalidState, JobNotFound, ValidationError
from pyqueue.testing import FakeClock
from tests.core.test_listing import MAKE

UNSTARTED = (JobState.WAITING, JobState.DELAYED, JobState.BLOCKED)
ENDED = (JobState.COMPLETED, JobState.DLQ, JobState.CANCELLED)


@pytest.mark.parametrize("state", UNSTARTED)
def test_cancel_ends_what_has_not_started(queue: PyQueue, clock: FakeClock, state: JobState) -> None:
    job_id = MAKE[state](queue)

    assert queue.cancel(job_id) is JobState.CANCELLED

    clock.advance(seconds=10)
    assert queue.pull(state.value) == []
    assert queue.get_job(job_id).state is JobState.CANCELLED


@pytest.mark.parametrize("state", ENDED)
def test_cancel_is_refused_after_the_end(queue: PyQueue, state: JobState) -> None:
    job_id = MAKE[state](queue)

    with pytest.raises(InvalidState, match=f"is {state.value.capitalize()}; expected Waiting, Delayed, or Blocked"):
        queue.cancel(job_id)

    assert queue.get_job(job_id).state is state


@pytest.mark.parametrize("ending", ["fail", "release", "stall", "timeout"])
def test_an_active_job_that_was_cancelled_is_not_tried_again(queue: PyQueue, clock: FakeClock, ending: str) -> None:
    job_id = queue.push("q", "n", timeout_ms=1_000 if ending == "timeout" else None)
    [job] = queue.pull("q", lease_ms=5_000)
    assert queue.cancel(job_id) is queue.cancel(job_id) is JobState.ACTIVE

    match ending:
        case "fail":
            assert not queue.fail(job, "stopped").will_retry
        case "release":
            queue.release(job)
        case _:
            clock.advance(seconds=5)
            report = queue.housekeep()
            assert (report.stalled, report.timed_out) == ((0, 1) if ending == "timeout" else (1, 0))

    assert queue.get_job(job_id).state is JobState.CANCELLED
    assert queue.stats("q").cancelled == 1


@pytest.mark.parametrize("state", [JobState.DLQ, JobState.CANCELLED])
def test_retry_makes_an_ended_job_wait_again_as_if_new(queue: PyQueue, state: JobState) -> None:
    job_id = MAKE[state](queue)
    history = queue.attempts(job_id)

    queue.retry(job_id)

    job = queue.get_job(job_id)
    assert (job.state, job.attempt, job.cancel_requested) == (JobState.WAITING, 0, False)
    assert queue.attempts(job_id) == history
    assert [each.id for each in queue.pull(state.value)] == [job_id]


@pytest.mark.parametrize("state", [each for each in JobState if each not in (JobState.DLQ, JobState.CANCELLED)])
def test_retry_is_refused_in_every_other_state(queue: PyQueue, state: JobState) -> None:
    job_id = MAKE[state](queue)

    with pytest.raises(InvalidState, match=f"is {state.value.capitalize()}; expected Dlq or Cancelled"):
        queue.retry(job_id)

    assert queue.get_job(job_id).state is state


def test_a_retried_job_has_all_its_attempts_again_and_keeps_counting_its_runs(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", max_attempts=2, backoff_delay_ms=0)
    for _ in range(2):
        for _ in range(2):
            queue.fail(queue.pull("q")[0], "broken")
        assert queue.get_job(job_id).state is JobState.DLQ
        queue.retry(job_id)

    assert [attempt.number for attempt in queue.attempts(job_id)] == [1, 2, 3, 4]
    assert queue.pull("q")[0].lease == 5


def test_a_retried_job_does_not_expire_at_once(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", ttl_ms=1_000)
    clock.advance(seconds=1)
    queue.housekeep()
    assert queue.get_job(job_id).state is JobState.CANCELLED

    queue.retry(job_id)

    assert [job.id for job in queue.pull("q")] == [job_id]


def test_a_retried_job_takes_its_unique_key_back(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", unique_key="k")
    queue.cancel(job_id)

    queue.retry(job_id)

    with pytest.raises(DuplicateKey, match=job_id):
        queue.push("q", "n", unique_key="k")


def test_retry_many_passes_over_what_cannot_be_retried(queue: PyQueue) -> None:
    ids = {state: MAKE[state](queue) for state in JobState}
    gone = queue.push("q", "n")
    queue.delete(gone)

    assert queue.retry_many([gone, *ids.values(), ids[JobState.DLQ]]) == 2

    assert queue.get_job(ids[JobState.DLQ]).state is JobState.WAITING
    assert queue.get_job(ids[JobState.CANCELLED]).state is JobState.WAITING


def test_retry_dlq_leaves_other_queues_and_states_alone(queue: PyQueue) -> None:
    ours, theirs = MAKE[JobState.DLQ](queue), queue.push("other", "n", max_attempts=1)
    queue.fail(queue.pull("other")[0], "broken")
    gone = queue.push("dlq", "n")
    queue.cancel(gone)

    assert queue.retry_dlq("dlq") == 1

    states = [queue.get_job(job_id).state for job_id in (ours, theirs, gone)]
    assert states == [JobState.WAITING, JobState.DLQ, JobState.CANCELLED]


@pytest.mark.parametrize("state", [each for each in JobState if each is not JobState.ACTIVE])
def test_delete_removes_a_job_in_any_state_but_active(queue: PyQueue, state: JobState) -> None:
    job_id = MAKE[state](queue)

    queue.delete(job_id)

    with pytest.raises(JobNotFound, match=job_id):
        queue.get_job(job_id)
    assert queue.stats(state.value).total == 0


@pytest.mark.parametrize("state", [each for each in JobState if each is not JobState.ACTIVE])
@pytest.mark.parametrize("count", [3, 501])
def test_purge_removes_the_jobs_of_one_state_only(queue: PyQueue, state: JobState, count: int) -> None:
    others = {each: MAKE[each](queue) for each in JobState if each is not state}
    name = state.value
    ids = queue.push_many(name, [{"name": "n", **({"delay_ms": 1} if state is JobState.DELAYED else {})}] * count)
    match state:
        case JobState.BLOCKED:
            queue.purge(name)
            parent = queue.push("parents", "n")
            queue.push_many(name, [{"name": "n", "depends_on": [parent]}] * count)
        case JobState.COMPLETED:
            queue.ack_many(queue.pull(name, count=count))
        case JobState.DLQ:
            for job in queue.pull(name, count=count):
                queue.fail(job, "broken", retry=False)
        case JobState.CANCELLED:
            for job_id in ids:
                queue.cancel(job_id)
        case _:
            pass

    assert queue.purge(name, state=state) == count

    assert queue.stats(name).total == 0
    assert all(queue.get_job(job_id).state is each for each, job_id in others.items())


def test_purge_of_all_states_leaves_what_runs(queue: PyQueue) -> None:
    running = queue.push("q", "n")
    queue.pull("q")
    for options in ({}, {"delay_ms": 9}, {"depends_on": [running]}):
        queue.push_many("q", [{"name": "n", **options}])

    assert queue.purge("q") == 3

    assert [job.id for job in queue.list_jobs().jobs] == [running]
    queue.ack(running)


def test_purge_refuses_an_unknown_state_and_names_the_known_ones(queue: PyQueue) -> None:
    with pytest.raises(ValidationError, match=r"state 'failed'; expected one of: .*dlq"):
        queue.purge("q", state="failed")


def test_pausing_twice_adds_up_and_one_resume_ends_all(queue: PyQueue) -> None:
    queue.pause("q")
    queue.pause("q", pushes=False, pulls=True)
    [info] = queue.queues()
    assert (info.pushes_paused, info.pulls_paused) == (True, True)

    queue.resume("q")
    queue.resume("q")

    assert queue.queues() == []
    queue.push("q", "n")
    assert len(queue.pull("q")) == 1


def test_a_paused_queue_still_retries_promotes_and_finishes(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=100)
    queue.pause("q")

    queue.fail(queue.pull("q")[0], "broken")
    clock.advance(ms=100)
    queue.ack(queue.pull("q")[0])

    assert queue.get_job(job_id).state is JobState.COMPLETED


def test_a_pull_of_two_queues_serves_the_one_that_is_not_paused(queue: PyQueue) -> None:
    queue.push("held", "n")
    queue.push("open", "n")
    queue.pause("held", pulls=True)

    assert [job.queue for job in queue.pull(["held", "open"], count=5)] == ["open"]


def test_a_job_that_runs_may_be_left_alone(queue: PyQueue) -> None:
    waiting, running = queue.push("q", "n"), queue.push("q", "n")
    queue.pull("q")

    with pytest.raises(InvalidState, match="is Active"):
        queue.cancel(waiting, running=False)

    assert queue.cancel(running, running=False) is JobState.CANCELLED
    assert not queue.get_job(waiting).cancel_requested
