"""`drain`: everything runs here and now, with the clock moved on to what is delayed."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from datetime import timedelta

import pytest

from pyqueue import Discard, DrainReport, Job, JobState, PyQueue, Snooze, current_job
from pyqueue.core import limits
from pyqueue.core.errors import ConfigError, StateError, ValidationError
from pyqueue.testing import FakeClock

mark: ContextVar[str] = ContextVar("mark", default="")


def test_everything_runs_in_this_thread_until_nothing_is_left(queue: PyQueue, clock: FakeClock) -> None:
    threads: list[threading.Thread] = []

    @queue.task(queue="a")
    def first(number: int) -> int:
        threads.append(threading.current_thread())
        second.options(delay_ms=3_600_000).push(number + 1)
        return number

    @queue.task(queue="b")
    async def second(number: int) -> int:
        threads.append(threading.current_thread())
        return number

    before = clock.now
    handle = first.push(1)
    report = queue.drain()

    assert report == DrainReport(completed=2)
    assert handle.result(0) == 1
    assert set(threads) == {threading.current_thread()}
    assert clock.now - before == timedelta(hours=1)


def test_retries_run_after_their_backoff_and_end_among_the_dead_letters(queue: PyQueue, clock: FakeClock) -> None:
    moments: list[float] = []

    @queue.task(queue="q", max_attempts=3, backoff_delay_ms=1_000)
    def fails() -> None:
        moments.append((clock.now - start).total_seconds())
        raise ConnectionError("gone")

    start = clock.now
    handle = fails.push()
    report = queue.drain()

    assert report == DrainReport(failed=3)
    assert moments == [0.0, 1.0, 3.0]
    assert handle.job().state is JobState.DLQ


def test_verdicts_decide_and_snoozes_are_counted(queue: PyQueue) -> None:
    runs: list[int] = []

    @queue.task(queue="q")
    def snoozes() -> int:
        runs.append(1)
        if len(runs) < 3:
            raise Snooze(60_000)
        return len(runs)

    @queue.task(queue="q")
    def pointless() -> None:
        raise Discard("nobody wants it")

    handles = snoozes.push(), pointless.push()
    assert queue.drain(raises=True) == DrainReport(completed=1, failed=1, released=2)
    assert handles[0].result(0) == 3
    assert handles[1].job().state is JobState.CANCELLED


def test_the_clock_can_be_left_alone(queue: PyQueue, clock: FakeClock) -> None:
    before = clock.now
    queue.push("q", "later", delay_ms=1_000)
    queue.push("q", "now")

    assert queue.drain("q", lambda job: job.name, moves_clock=False) == DrainReport(completed=1)
    assert clock.now == before
    assert queue.stats("q").delayed == 1


def test_only_the_queues_that_were_named_are_drained(queue: PyQueue, clock: FakeClock) -> None:
    before = clock.now
    queue.push("a", "one", delay_ms=1_000)
    queue.push("b", "two")

    assert queue.drain(["b"], lambda job: None).completed == 1
    assert (queue.stats("a").delayed, clock.now) == (1, before)


def test_without_a_clock_to_move_what_is_delayed_stays() -> None:
    with PyQueue.memory() as queue:
        queue.push("q", "later", delay_ms=60_000)
        queue.push("q", "now")

        assert queue.drain(handler=lambda job: None) == DrainReport(completed=1)
        assert PyQueue.memory().drain() == DrainReport()


def test_an_error_can_be_raised_once_it_is_stored(queue: PyQueue) -> None:
    @queue.task(queue="q", retry_on=ConnectionError)
    def fails() -> None:
        raise ValueError("broken")

    handle = fails.push()
    with pytest.raises(Exception, match="broken") as raised:
        queue.drain(raises=True)

    assert isinstance(raised.value.__cause__, ValueError)
    assert handle.job().state is JobState.DLQ
    assert "ValueError: broken" in str(handle.job().last_error)


def test_a_result_that_cannot_be_stored_is_a_failed_attempt(queue: PyQueue) -> None:
    job_id = queue.push("q", "work", max_attempts=1)

    assert queue.drain(handler=lambda job: object()) == DrainReport(failed=1)
    assert str(queue.get_job(job_id).last_error).startswith("result"), "as a worker tells it, without a traceback"

    queue.push("q", "work", max_attempts=1)
    with pytest.raises(ValidationError, match="cannot be stored as JSON"):
        queue.drain(handler=lambda job: object(), raises=True)


def test_a_drain_without_an_end_is_ended(queue: PyQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAIN_RUNS_MAX", 20)

    @queue.task(queue="q")
    def for_ever() -> None:
        for_ever.push()

    for_ever.push()
    with pytest.raises(StateError, match="drain ran 20 jobs and there are more"):
        queue.drain()


def test_event_loops_await_a_drain(queue: PyQueue) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()

        @queue.task(queue="q")
        async def waits() -> bool:
            mark.set("waits")
            return asyncio.get_running_loop() is loop

        @queue.task(queue="q")
        def plain() -> bool:
            mark.set("plain")
            return threading.current_thread() is threading.main_thread()

        @queue.task(queue="q", max_attempts=1)
        async def fails() -> None:
            raise ValueError("broken")

        one, two = await waits.apush(), await plain.apush()
        assert await queue.adrain() == DrainReport(completed=2)
        assert (await one, await two) == (True, False)
        assert (current_job(), mark.get()) == (None, "")

        await fails.apush()
        with pytest.raises(ValueError, match="broken"):
            await queue.adrain(raises=True)

        refused = await waits.apush()
        with pytest.raises(ConfigError, match="use await adrain"):
            queue.drain()
        assert queue.get_job(refused).state is JobState.WAITING

    asyncio.run(work())


def test_an_async_handler_can_drain_too(queue: PyQueue) -> None:
    async def handle(job: Job) -> str:
        return job.name

    job_id = queue.push("q", "work")

    assert queue.drain(handler=handle) == DrainReport(completed=1)
    assert queue.get_job(job_id).result == "work"


def test_the_clock_moves_on_to_what_a_limit_allows(queue: PyQueue, clock: FakeClock) -> None:
    began = clock.now
    queue.set_limit("q", rate=1, per_ms=60_000, concurrency=1)
    queue.push_many("q", [{"name": "work"}] * 3)

    assert queue.drain(handler=lambda job: None) == DrainReport(completed=3)
    assert clock.now - began == timedelta(minutes=2)
