"""Waiting: for a job to come, and for a job to finish."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import JobCancelled, JobFailed, WaitTimeout


def test_wait_for_gives_the_result_of_a_job_that_finishes_meanwhile(path: Path) -> None:
    with PyQueue(path) as queue:
        job_id = queue.push("q", "n")
        [job] = queue.pull("q")
        threading.Timer(0.05, queue.ack, (job, "done")).start()

        assert queue.wait_for(job_id, timeout=10) == "done"


def test_wait_for_sees_what_another_handle_did(path: Path) -> None:
    with PyQueue(path) as queue, PyQueue(path) as other:
        job_id = queue.push("q", "n")
        [job] = other.pull("q")
        threading.Timer(0.05, other.ack, (job, "done")).start()

        assert queue.wait_for(job_id, timeout=10) == "done"


def test_wait_for_says_what_became_of_the_job(queue: PyQueue) -> None:
    dead = queue.push("q", "n", max_attempts=1)
    queue.fail(queue.pull("q")[0], "broken")
    with pytest.raises(JobFailed, match="broken"):
        queue.wait_for(dead)
    cancelled = queue.push("q", "n")
    queue.cancel(cancelled)
    with pytest.raises(JobCancelled):
        queue.wait_for(cancelled)
    with pytest.raises(WaitTimeout, match="waiting"):
        queue.wait_for(queue.push("q", "n"), timeout=0.01)


def test_a_long_poll_gets_a_job_pushed_meanwhile(path: Path) -> None:
    with PyQueue(path) as queue:
        threading.Timer(0.05, queue.push, ("q", "n")).start()

        assert [job.name for job in queue.pull("q", wait_ms=10_000)] == ["n"]


def test_a_long_poll_gets_a_job_pushed_by_another_handle(path: Path) -> None:
    with PyQueue(path) as queue, PyQueue(path) as other:
        threading.Timer(0.05, other.push, ("q", "n")).start()

        assert [job.name for job in queue.pull("q", wait_ms=10_000)] == ["n"]


def test_a_long_poll_gets_a_job_whose_delay_ends_meanwhile(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "n", delay_ms=50)

        assert [job.name for job in queue.pull("q", wait_ms=10_000)] == ["n"]


def test_a_job_is_given_when_it_has_ended_or_the_wait_is_over(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")

    assert queue.get_job(job_id, wait_ms=1).state is JobState.WAITING
    [job] = queue.pull("q")
    ending = threading.Thread(target=lambda: queue.ack(job))
    ending.start()
    assert queue.get_job(job_id, wait_ms=20_000).state is JobState.COMPLETED
    ending.join()
    assert asyncio.run(queue.aget_job(job_id, wait_ms=20_000)).state is JobState.COMPLETED
