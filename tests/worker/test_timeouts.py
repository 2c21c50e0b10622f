"""`timeout_ms` is hard: the run is over for everybody, whatever its handler does; a late result is refused."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from pyqueue import Job, JobState, PyQueue
from tests.waiting import eventually
from tests.working import running

TIMED_OUT = "job timed out after 200 ms"


def test_a_thread_that_does_not_return_is_left_behind_and_its_place_taken_by_another(
    queue: PyQueue, caplog: pytest.LogCaptureFixture
) -> None:
    go_on, returned = threading.Event(), threading.Event()

    def handle(job: Job) -> str:
        if job.name == "hang":
            assert go_on.wait(20)
            returned.set()
        return "done"

    hanging = queue.push("q", "hang", timeout_ms=200, max_attempts=1)
    with running(queue.worker("q", handle)) as reports:
        eventually(lambda: queue.get_job(hanging).state is JobState.DLQ)
        assert queue.wait_for(queue.push("q", "next"), 10) == "done"
        go_on.set()
        assert returned.wait(10)
        eventually(lambda: "the outcome of a job came too late" in caplog.messages)

    assert (queue.get_job(hanging).result, queue.get_job(hanging).last_error) == (None, TIMED_OUT)
    assert (reports[0].completed, reports[0].failed) == (1, 1)
    [left] = [record for record in caplog.records if record.message.startswith("a handler is left behind")]
    assert (left.levelno, left.job_id) == (logging.WARNING, hanging)  # type: ignore[attr-defined]


def test_a_handler_that_never_returns_does_not_stop_a_worker_of_one_thread(queue: PyQueue) -> None:
    go_on = threading.Event()

    def handle(job: Job) -> str:
        return "done" if job.name == "quick" else str(go_on.wait(20))

    queue.push_many("q", [{"name": "hang", "timeout_ms": 200, "max_attempts": 1}] * 3)
    quick = queue.push("q", "quick")

    report = queue.run_worker("q", handle, burst=True)
    go_on.set()

    assert (report.completed, report.failed) == (1, 3)
    assert queue.get_job(quick).result == "done"


def test_a_task_is_cancelled(queue: PyQueue) -> None:
    cleaned_up = []

    async def handle(job: Job) -> str:
        if job.name == "hang":
            try:
                await asyncio.sleep(60)
            finally:
                cleaned_up.append(job.id)
        return "done"

    hanging = queue.push("q", "hang", timeout_ms=200, max_attempts=1)
    after = queue.push("q", "quick")

    report = queue.run_worker("q", handle, burst=True)

    assert (report.completed, report.failed, report.released) == (1, 1, 0)
    assert queue.get_job(hanging).last_error == TIMED_OUT
    assert queue.get_job(after).result == "done"
    assert cleaned_up == [hanging]


def test_a_task_that_refuses_to_be_cancelled_loses_its_place_and_its_result(queue: PyQueue) -> None:
    stubborn_ended = threading.Event()

    async def handle(job: Job) -> str:
        if job.name == "stubborn":
            for _ in range(40):
                try:
                    await asyncio.sleep(0.02)
                except asyncio.CancelledError:
                    continue
            stubborn_ended.set()
        return "done"

    stubborn = queue.push("q", "stubborn", timeout_ms=200, max_attempts=1)
    with running(queue.worker("q", handle)):
        eventually(lambda: queue.get_job(stubborn).state is JobState.DLQ)
        assert queue.wait_for(queue.push("q", "next"), 10) == "done"
        assert not stubborn_ended.is_set()
        assert stubborn_ended.wait(10)

    assert (queue.get_job(stubborn).result, queue.get_job(stubborn).last_error) == (None, TIMED_OUT)


def test_a_job_that_timed_out_is_tried_again_and_the_old_thread_cannot_end_the_new_run(queue: PyQueue) -> None:
    first_may_end, first_ended, second_may_end = threading.Event(), threading.Event(), threading.Event()

    def handle(job: Job) -> str:
        if job.lease == 1:
            assert first_may_end.wait(20)
            first_ended.set()
            return "first"
        assert second_may_end.wait(20)
        return "second"

    job_id = queue.push("q", "n", timeout_ms=300, backoff_delay_ms=0)
    with running(queue.worker("q", handle, concurrency=2)):
        eventually(lambda: queue.get_job(job_id).lease == 2)
        first_may_end.set()
        assert first_ended.wait(10)
        second_may_end.set()
        result = queue.wait_for(job_id, 10)

    assert result == "second"
    assert [attempt.error for attempt in queue.attempts(job_id)] == ["job timed out after 300 ms"]


@pytest.mark.parametrize("timeout_ms", [None, 1_000])
def test_a_handler_that_blocks_is_alive_until_its_timeout(queue: PyQueue, timeout_ms: int | None) -> None:
    job_id = queue.push("q", "n", timeout_ms=timeout_ms, max_attempts=1)

    report = queue.run_worker("q", lambda job: time.sleep(0.5), lease_ms=120, burst=True)

    assert report.completed == 1
    assert queue.attempts(job_id) == []


def test_housekeeping_that_sees_a_timeout_first_changes_nothing_for_the_worker(queue: PyQueue) -> None:
    go_on = threading.Event()

    def handle(job: Job) -> str:
        while not go_on.wait(0.005):
            queue.housekeep()
        return "late"

    job_id = queue.push("q", "n", timeout_ms=200, max_attempts=1)
    with running(queue.worker("q", handle)) as reports:
        eventually(lambda: queue.get_job(job_id).state is JobState.DLQ)
        go_on.set()

    assert queue.get_job(job_id).last_error == TIMED_OUT
    assert (reports[0].failed, len(queue.attempts(job_id))) == (1, 1)


def test_runs_with_and_without_timeouts_end_each_at_its_own_time(queue: PyQueue) -> None:
    go_on = threading.Event()

    def handle(job: Job) -> str:
        return str(go_on.wait(20))

    ids = {ms: queue.push("q", "n", timeout_ms=ms, max_attempts=1) for ms in (20_000, 500, 150, None)}
    with running(queue.worker("q", handle, concurrency=4)):
        eventually(lambda: queue.get_job(ids[500]).state is JobState.DLQ)
        assert queue.get_job(ids[150]).state is JobState.DLQ
        assert {queue.get_job(ids[ms]).state for ms in (20_000, None)} == {JobState.ACTIVE}
        go_on.set()

    failed_at = {ms: queue.attempts(ids[ms])[0].failed_at for ms in (500, 150)}
    assert 0.2 < (failed_at[500] - failed_at[150]).total_seconds() < 2
