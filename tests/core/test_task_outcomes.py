"""What becomes of a task's run, and what its handle says: each way a job can end, and each way to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pyqueue import JobState, PyQueue, Retry, Snooze, Tasks
from pyqueue.core.errors import JobCancelled, JobFailed, JobNotFound, ValidationError, WaitTimeout
from pyqueue.testing import FakeClock


def test_a_result_that_is_not_there_yet_is_waited_for_no_longer_than_asked(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def work() -> int:
        return 1

    handle = work.push()

    with pytest.raises(WaitTimeout, match="has not finished in time; it goes on"):
        handle.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(handle.aresult(timeout=0.01))
    queue.drain()
    assert handle.result() == 1


def test_a_handle_raises_what_its_job_came_to(queue: PyQueue) -> None:
    @queue.task(queue="q", max_attempts=1, remove_on_complete=True)
    def work(what: str) -> None:
        if what == "fail":
            raise ConnectionError("gone")

    failed, cancelled, removed = (work.push(what) for what in ("fail", "cancel", "remove"))
    queue.cancel(cancelled)
    queue.drain()

    async def wait(handle: Any) -> None:
        await handle

    for handle, error in ((failed, JobFailed), (cancelled, JobCancelled), (removed, JobNotFound)):
        with pytest.raises(error):
            handle.result(1)
        with pytest.raises(error):
            asyncio.run(wait(handle))
    with pytest.raises(JobFailed, match="ConnectionError: gone"):
        failed.result(1)


def test_a_result_of_another_client_is_held_against_the_annotation(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def work() -> dict[int, timedelta]:
        raise AssertionError("another client does it")

    fits, does_not = work.push(), work.push()
    first, second = queue.pull("q", count=2)
    queue.ack(first, {"1": "PT5S"})
    queue.ack(second, {"one": 5})

    assert fits.result(1) == {1: timedelta(seconds=5)}
    with pytest.raises(ValidationError, match="which is not what its task says it returns"):
        does_not.result(1)
    assert does_not.job().result == {"one": 5}


@pytest.mark.parametrize(
    ("delay", "message"),
    [(lambda attempt, error: 1.5, "delay_ms 1.5; expected a whole number"), (lambda attempt, error: 1 // 0, "ZeroDiv")],
    ids=["no number", "raises"],
)
def test_a_backoff_function_that_fails_leaves_the_backoff_of_the_job(
    queue: PyQueue, delay: Callable[[int, BaseException], Any], message: str
) -> None:
    @queue.task(queue="q", retry_delay_ms=delay, backoff="fixed", backoff_delay_ms=7_000)
    def work() -> None:
        raise ConnectionError("gone")

    handle = work.push()
    queue.drain(moves_clock=False)

    job = handle.job()
    assert job.delay_until == job.created_at + timedelta(seconds=7)
    assert message in str(job.last_error) and "ConnectionError: gone" in str(job.last_error)


def test_a_backoff_function_knows_the_attempt_and_the_error(queue: PyQueue, clock: FakeClock) -> None:
    asked: list[tuple[int, str]] = []

    def delay(attempt: int, error: BaseException) -> int:
        asked.append((attempt, str(error)))
        return attempt * 10_000

    @queue.task(queue="q", max_attempts=3, retry_delay_ms=delay)
    def work() -> None:
        raise ConnectionError(f"at {clock.now - began}")

    began = clock.now
    work.push()
    queue.drain()

    assert asked == [(1, "at 0:00:00"), (2, "at 0:00:10"), (3, "at 0:00:30")]


def test_a_verdict_goes_before_the_policy_of_the_task(queue: PyQueue) -> None:
    @queue.task(queue="q", retry_on=(), discard_on=Exception)
    def work(what: str) -> None:
        raise Retry("again", delay_ms=5_000) if what == "retry" else Snooze(5_000)

    retried, snoozed = work.push("retry"), work.push("snooze")
    queue.drain(moves_clock=False)

    assert [(job.state, job.attempt) for job in (retried.job(), snoozed.job())] == [
        (JobState.DELAYED, 1),
        (JobState.DELAYED, 0),
    ]


def test_a_job_that_names_no_task_spends_its_attempts_and_is_kept(queue: PyQueue) -> None:
    queue.task(name="known", queue="q")(lambda: None)
    job_id = queue.push("q", "unknown", max_attempts=2)

    report = queue.drain()

    job = queue.get_job(job_id)
    assert (report.failed, job.state) == (2, JobState.DLQ)
    assert "no task here is called 'unknown'; known: known" in str(job.last_error)


def test_a_renamed_task_runs_the_jobs_of_its_old_names_also_from_a_registry(path: Path) -> None:
    tasks = Tasks()

    @tasks.task(queue="q", aliases=["old", "older"])
    def new() -> str:
        return "done"

    with PyQueue(path) as queue:
        queue.include(tasks)
        ids = [queue.push("q", name) for name in ("old", "older", "new")]
        queue.drain()

        assert [queue.get_job(job_id).result for job_id in ids] == ["done"] * 3
        assert queue.tasks.names == ["new"]
