"""The worker: results, failures, leases kept alive, and stopping."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pyqueue import Job, JobState, PyQueue
from pyqueue.core.clock import SystemClock
from pyqueue.core.errors import ValidationError
from tests.waiting import eventually
from tests.working import running


@pytest.fixture
def queue(path: Path) -> Iterator[PyQueue]:
    """With the clock of the machine, which workers sleep by."""
    with PyQueue(path) as opened:
        yield opened


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_handler_on_threads_turns_jobs_into_results(queue: PyQueue, concurrency: int) -> None:
    ids = queue.push_many("q", [{"name": "double", "data": number} for number in range(100)])

    report = queue.run_worker("q", lambda job: job.data * 2, concurrency=concurrency, burst=True)

    assert report.completed == 100
    assert [queue.get_job(job_id).result for job_id in ids] == [number * 2 for number in range(100)]
    assert {job.worker_id for job in queue.list_jobs().jobs} == {report.worker_id}


def test_an_async_handler_runs_many_jobs_at_once(queue: PyQueue) -> None:
    together = 0
    most = 0

    async def handle(job: Job) -> Any:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.05)
        together -= 1
        return job.data

    queue.push_many("q", [{"name": "n", "data": number} for number in range(100)])

    report = queue.run_worker("q", handle, concurrency=50, burst=True)

    assert report.completed == 100
    assert 25 < most <= 50


def test_an_exception_is_a_failed_attempt_with_its_traceback(queue: PyQueue) -> None:
    def handle(job: Job) -> None:
        raise LookupError("no such customer")

    job_id = queue.push("q", "n", max_attempts=2, backoff_delay_ms=0)

    report = queue.run_worker("q", handle, burst=True)

    assert report.failed == 2, "a burst goes on while a retry is ready"
    job = queue.get_job(job_id)
    assert job.state is JobState.DLQ
    assert str(job.last_error).startswith("Traceback")
    assert str(job.last_error).endswith("LookupError: no such customer")
    assert "pyqueue" not in str(job.last_error).replace(str(Path(__file__)), "")


@pytest.mark.parametrize("outcome", [lambda job: sys.exit(3), lambda job: object()], ids=["exit", "not JSON"])
def test_a_handler_that_exits_or_returns_no_json_fails_its_job_only(queue: PyQueue, outcome: Any) -> None:
    def handle(job: Job) -> Any:
        return outcome(job) if job.name == "bad" else "fine"

    bad = queue.push("q", "bad", max_attempts=1)
    good = queue.push("q", "good")

    report = queue.run_worker("q", handle, burst=True)

    assert (report.completed, report.failed) == (1, 1)
    assert queue.get_job(bad).state is JobState.DLQ
    assert queue.get_job(good).result == "fine"


def test_heartbeats_keep_a_long_job_alive_while_its_handler_blocks(queue: PyQueue) -> None:
    job_id = queue.push("q", "long", max_attempts=1)

    report = queue.run_worker("q", lambda job: time.sleep(0.6), lease_ms=150, burst=True)

    assert report.completed == 1
    assert queue.attempts(job_id) == []


def test_a_job_beyond_its_timeout_is_failed_and_its_late_result_refused(queue: PyQueue) -> None:
    job_id = queue.push("q", "slow", max_attempts=1, timeout_ms=100)

    report = queue.run_worker("q", lambda job: time.sleep(0.5), burst=True)

    assert (report.completed, report.failed) == (0, 1)
    assert "timed out" in str(queue.get_job(job_id).last_error)


def test_a_cancelled_job_stops_its_task(queue: PyQueue) -> None:
    started = threading.Event()

    async def handle(job: Job) -> None:
        started.set()
        await asyncio.sleep(60)

    job_id = queue.push("q", "n")
    with running(queue.worker("q", handle, lease_ms=150)):
        assert started.wait(10)
        queue.cancel(job_id)
        eventually(lambda: queue.get_job(job_id).state is JobState.CANCELLED)


def test_a_job_cancelled_before_it_starts_is_stopped_when_it_does(queue: PyQueue) -> None:
    """It was told once, while there was no task to cancel, and then never again."""
    first_runs, go_on = threading.Event(), threading.Event()

    async def handle(job: Job) -> None:
        first_runs.set()
        while not go_on.is_set():
            await asyncio.sleep(0.005)
        if job.name == "second":
            await asyncio.sleep(60)

    worker = queue.worker("q", handle, lease_ms=150, prefetch_ms=60_000)
    worker._pace.note(0.001)  # As after many quick jobs: the second is claimed together with the first.
    queue.push("q", "first")
    second = queue.push("q", "second")
    with running(worker):
        assert first_runs.wait(10)
        eventually(lambda: queue.get_job(second).state is JobState.ACTIVE)
        queue.cancel(second)
        eventually(
            lambda: (beat := queue.get_job(second).heartbeat_us) and beat > (queue.get_job(second).cancel_us or 0)
        )
        go_on.set()
        eventually(lambda: queue.get_job(second).state is JobState.CANCELLED)


def test_stop_lets_the_running_job_finish_and_takes_no_other(queue: PyQueue) -> None:
    started, go_on = threading.Event(), threading.Event()

    def handle(job: Job) -> str:
        started.set()
        assert go_on.wait(10)
        return "finished"

    first, second = queue.push("q", "n"), queue.push("q", "n")
    worker = queue.worker("q", handle)
    with running(worker) as reports:
        assert started.wait(10)
        worker.stop()
        go_on.set()
        eventually(lambda: reports)

    assert queue.get_job(first).result == "finished"
    assert (queue.get_job(second).state, queue.get_job(second).attempt) == (JobState.WAITING, 0)


def test_a_second_stop_gives_the_running_job_back_at_once(queue: PyQueue) -> None:
    started, go_on = threading.Event(), threading.Event()

    def handle(job: Job) -> None:
        started.set()
        go_on.wait(20)

    job_id = queue.push("q", "n")
    worker = queue.worker("q", handle)
    with running(worker) as reports:
        assert started.wait(10)
        worker.stop()
        worker.stop()
        eventually(lambda: reports)

    assert reports[0].released == 1
    assert (queue.get_job(job_id).state, queue.get_job(job_id).attempt) == (JobState.WAITING, 0)
    go_on.set()


def test_the_end_of_the_grace_gives_running_tasks_back(queue: PyQueue) -> None:
    started = threading.Event()

    async def handle(job: Job) -> None:
        started.set()
        await asyncio.sleep(60)

    job_id = queue.push("q", "n")
    worker = queue.worker("q", handle, grace_ms=100)
    with running(worker) as reports:
        assert started.wait(10)
        worker.stop()
        eventually(lambda: reports)

    assert reports[0].released == 1
    assert queue.get_job(job_id).state is JobState.WAITING


def test_queues_are_worked_in_order_of_preference(queue: PyQueue) -> None:
    seen: list[str] = []
    queue.push_many("low", [{"name": "low"}] * 3)
    queue.push_many("high", [{"name": "high"}] * 3)

    queue.run_worker(["high", "low"], lambda job: seen.append(job.name), burst=True, prefetch_ms=0)

    assert seen == ["high"] * 3 + ["low"] * 3


def test_jobs_claimed_ahead_are_given_back_when_one_before_them_is_slow(path: Path, queue: PyQueue) -> None:
    blocked, go_on = threading.Event(), threading.Event()

    def handle(job: Job) -> None:
        if job.data == "slow":
            blocked.set()
            assert go_on.wait(20)

    queue.push_many("q", [{"name": "n"}] * 50)
    with running(queue.worker("q", handle)), PyQueue(path) as other:
        eventually(lambda: queue.stats("q").completed == 50)
        queue.push_many("q", [{"name": "n", "data": "slow"}, *[{"name": "n"}] * 20])
        assert blocked.wait(10)
        taken = eventually(lambda: other.pull("q", count=50), what="jobs for an idle worker")
        other.ack_many(taken)
        eventually(lambda: other.ack_many(other.pull("q", count=50)) is not None and queue.stats("q").active == 1)
        go_on.set()
        eventually(lambda: queue.stats("q").completed == 71)


@pytest.mark.sqlite("a lock on the file")
def test_database_trouble_is_waited_out(path: Path, queue: PyQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyqueue.core.store import connection

    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(path, check_same_thread=False)
    locked = threading.Event()

    def handle(job: Job) -> str:
        if not locked.is_set():
            other.execute("BEGIN IMMEDIATE")
            locked.set()
        return "done"

    job_id = queue.push("q", "n")
    with running(queue.worker("q", handle)):
        assert locked.wait(10)
        eventually(lambda: _has_met_trouble(queue))
        other.rollback()
        eventually(lambda: queue.get_job(job_id).result == "done")
    other.close()


def _has_met_trouble(queue: PyQueue) -> bool:
    """A pull waits for the lock in vain, as the worker does."""
    try:
        queue.pull("other")
    except Exception:
        return True
    return False


def test_every_job_is_logged_with_its_facts_and_without_its_data(
    queue: PyQueue, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = queue.push("q", "n", {"password": "secret"})

    with caplog.at_level(logging.INFO, "pyqueue"):
        queue.run_worker("q", lambda job: None, burst=True)

    [record] = [record for record in caplog.records if record.message == "job completed"]
    assert (record.job_id, record.queue, record.job_name, record.attempt) == (job_id, "q", "n", 1)  # type: ignore[attr-defined]
    assert "secret" not in caplog.text


@pytest.mark.parametrize("wrong", [{"handler": "no function"}, {"concurrency": 0}, {"grace_ms": -1}, {"queues": []}])
def test_a_worker_that_cannot_work_is_refused(queue: PyQueue, wrong: dict[str, Any]) -> None:
    call: dict[str, Any] = {"queues": "q", "handler": print, **wrong}

    with pytest.raises(ValidationError, match="expected"):
        queue.run_worker(**call)


class _BreaksInClaims:
    """A clock that the thread which claims cannot read."""

    is_broken = False

    def now_us(self) -> int:
        if self.is_broken and threading.current_thread().name == "pyqueue-claim":
            raise RuntimeError("the clock has stopped")
        return SystemClock().now_us()


def test_a_worker_whose_thread_meets_an_error_of_ours_ends_and_says_which(path: Path) -> None:
    clock, began = _BreaksInClaims(), threading.Event()

    def handle(job: Job) -> str:
        began.set()
        eventually(lambda: clock.is_broken, what="the clock to stop")
        return "done"

    with PyQueue(path, clock=clock) as queue, ThreadPoolExecutor() as threads:
        job_id = queue.push("q", "n")
        ended = threads.submit(queue.worker("q", handle).run)
        assert began.wait(10)
        clock.is_broken = True
        queue.push("q", "another")
        with pytest.raises(RuntimeError, match="the clock has stopped"):
            ended.result(20)
        assert queue.get_job(job_id).result == "done"
