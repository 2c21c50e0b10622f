"""Progress and the log of a job: kept through all its runs, bounded, gone with the job."""

from __future__ import annotations

import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import InvalidState
from pyqueue.testing import FakeClock


def messages(queue: PyQueue, job_id: str) -> list[str]:
    return [entry.message for entry in queue.get_job(job_id).logs]


def test_each_message_carries_its_moment(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n")
    [job] = queue.pull("q")
    moments = []
    for percent in (10, 20):
        clock.advance(seconds=1)
        moments.append(clock.now)
        queue.progress(job, percent, f"{percent} %")
    queue.progress(job, 30)

    found = queue.get_job(job_id)

    assert [(entry.at, entry.message) for entry in found.logs] == list(zip(moments, ["10 %", "20 %"], strict=True))
    assert found.progress == 30


@pytest.mark.parametrize("how", ["fail", "release", "stall"])
def test_the_log_goes_on_when_the_job_runs_again(queue: PyQueue, clock: FakeClock, how: str) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    [first] = queue.pull("q", lease_ms=1_000)
    queue.progress(first, 50, "first")
    match how:
        case "fail":
            queue.fail(first, "broken")
        case "release":
            queue.release(first)
        case "stall":
            clock.advance(seconds=1)
            queue.housekeep()

    [second] = queue.pull("q")
    queue.progress(second, 10, "second")

    assert [entry.message for entry in second.logs] == ["first"], "a worker sees what the run before it reported"
    assert (messages(queue, job_id), queue.get_job(job_id).progress) == (["first", "second"], 10)


def test_the_log_outlives_a_retry_by_hand(queue: PyQueue) -> None:
    """It was once out of sight until the next progress, since that starts at none."""
    job_id = queue.push("q", "n", max_attempts=1)
    [job] = queue.pull("q")
    queue.progress(job, 50, "first")
    queue.fail(job, "broken")

    queue.retry(job_id)

    assert (messages(queue, job_id), queue.get_job(job_id).progress) == (["first"], None)
    [again] = queue.pull("q")
    assert [entry.message for entry in again.logs] == ["first"]
    queue.ack(again)
    assert messages(queue, job_id) == ["first"]


def test_logs_of_jobs_do_not_mix(queue: PyQueue) -> None:
    ids = queue.push_many("q", [{"name": "n"}] * 3)
    for job in queue.pull("q", count=3):
        queue.progress(job, 1, job.id)
        queue.release(job)

    pulled = queue.pull("q", count=3)

    assert [[entry.message for entry in job.logs] for job in pulled] == [[job_id] for job_id in ids]


@pytest.mark.parametrize("state", ["waiting", "completed"])
def test_progress_of_a_job_that_does_not_run_is_refused(queue: PyQueue, state: str) -> None:
    job_id = queue.push("q", "n")
    if state == "completed":
        queue.ack(queue.pull("q")[0])

    with pytest.raises(InvalidState, match=state.capitalize()):
        queue.progress(job_id, 1, "late")

    assert messages(queue, job_id) == []


def test_progress_is_no_sign_of_life(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q", lease_ms=1_000)
    clock.advance(ms=999)
    queue.progress(job, 99)
    clock.advance(ms=1)

    assert queue.housekeep().stalled == 1


def test_a_deleted_job_takes_its_log_along(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", remove_on_complete=True)
    [job] = queue.pull("q")
    queue.progress(job, 1, "gone")

    queue.ack(job)

    again = queue.push("q", "n")
    assert again != job_id
    assert messages(queue, again) == []
