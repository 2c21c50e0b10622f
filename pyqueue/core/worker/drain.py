"""Running all there is, in the calling thread: for tests, which then need no worker and no waiting."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from pyqueue.core import limits
from pyqueue.core.clock import to_datetime
from pyqueue.core.errors import ConfigError, StateError, ValidationError
from pyqueue.core.job import Job
from pyqueue.core.worker.finish import Finisher
from pyqueue.core.worker.outcome import Done, Failed, Said, Snoozed, end_by, end_with
from pyqueue.core.worker.run import SplitHandler

# Nobody sends heartbeats meanwhile.
_LEASE_MS: Final = 3_600_000


@runtime_checkable
class MovableClock(Protocol):
    """A clock that a test moves."""

    def now_us(self) -> int: ...

    def advance_to(self, moment: datetime) -> None: ...


class DrainedQueue(Finisher, Protocol):
    """The calls of a queue that a drain needs."""

    def pull(self, queue: Sequence[str], *, lease_ms: int, worker_id: str) -> list[Job]: ...


class OneForAll:
    """One function as the handler of all jobs."""

    def __init__(self, handler: Callable[[Job], Any]) -> None:
        self._handler = handler

    def is_async(self, job: Job) -> bool:
        return inspect.iscoroutinefunction(self._handler)

    def run(self, job: Job) -> Any:
        return self._handler(job)

    async def arun(self, job: Job) -> Any:
        return await self._handler(job)


class DrainReport(NamedTuple):
    """What a drain has done: runs completed, failed, and given back by `Snooze`."""

    completed: int = 0
    failed: int = 0
    released: int = 0


class Drain:
    """One drain: pulls, runs and ends one job after the other until nothing is left that can be run.

    The storage is called without a twin for event loops: a test that awaits a drain waits for nothing else.
    """

    def __init__(
        self,
        queue: DrainedQueue,
        handler: SplitHandler,
        *,
        names: Callable[[], Sequence[str]],
        next_moment_us: Callable[[Sequence[str]], int | None],
        clock: MovableClock | None,
        raises: bool,
    ) -> None:
        self._queue, self._handler = queue, handler
        self._names, self._next_moment_us, self._clock, self._raises = names, next_moment_us, clock, raises
        self._report = DrainReport()

    def run(self) -> DrainReport:
        """Runs plain functions here, and coroutine functions on one event loop of their own."""
        runner = asyncio.Runner()
        try:
            for job in self._jobs():
                self._require_no_loop(job)
                try:
                    result = self._result_of(job, runner)
                except (Exception, SystemExit) as error:  # As in a worker. Ctrl-C ends the drain.
                    self._end(job, end_by(error), error)
                else:
                    self._end(job, end_with(result))
        finally:
            runner.close()
        return self._report

    async def arun(self) -> DrainReport:
        """Runs coroutine functions here, and plain functions on threads, one at a time all the same."""
        for job in self._jobs():
            try:
                if self._handler.is_async(job):  # In an asyncio task, which has a context of its own.
                    result = await asyncio.get_running_loop().create_task(self._handler.arun(job))
                else:
                    result = await asyncio.to_thread(self._handler.run, job)
            except (Exception, SystemExit) as error:
                self._end(job, end_by(error), error)
            else:
                self._end(job, end_with(result))
        return self._report

    def _result_of(self, job: Job, runner: asyncio.Runner) -> Any:
        if self._handler.is_async(job):
            return runner.run(self._handler.arun(job), context=copy_context())
        return self._handler.run(job)

    def _require_no_loop(self, job: Job) -> None:
        if self._handler.is_async(job) and _is_in_loop():
            self._queue.release(job)
            raise ConfigError("drain() met an async task inside a running event loop; use await adrain().")

    def _jobs(self) -> Iterator[Job]:
        for _ in range(limits.DRAIN_RUNS_MAX):
            names = self._names()
            jobs = self._queue.pull(names, lease_ms=_LEASE_MS, worker_id="drain") if names else []
            if jobs:
                yield jobs[0]
            elif not (names and self._move_on(names)):
                return
        raise StateError(
            f"drain ran {limits.DRAIN_RUNS_MAX:,} jobs and there are more; "
            "is there a task that pushes itself, or snoozes, for ever? Drain one queue, or without moves_clock."
        )

    def _move_on(self, names: Sequence[str]) -> bool:
        """Moves the clock to where a delay ends, or a limit allows more; False if there is nothing to wait for."""
        due_us = None if self._clock is None else self._next_moment_us(names)
        if self._clock is None or due_us is None or due_us <= self._clock.now_us():
            return False
        self._clock.advance_to(to_datetime(due_us))
        return True

    def _end(self, job: Job, end: Said, error: BaseException | None = None) -> None:
        match end:
            case Done(result_json):
                [refused] = self._queue.complete([(job, result_json)])
                if refused is not None:
                    raise refused
                self._count(completed=1)
            case Snoozed(delay_ms):
                self._queue.release(job, delay_ms=delay_ms)
                self._count(released=1)
            case Failed(text, retry, delay_ms, discard):
                self._queue.fail(job, text, retry=retry, delay_ms=delay_ms, discard=discard)
                self._count(failed=1)
                if self._raises and not discard:
                    raise error or ValidationError(text)  # Without an error it was the result that failed.

    def _count(self, *, completed: int = 0, failed: int = 0, released: int = 0) -> None:
        before = self._report
        self._report = DrainReport(before.completed + completed, before.failed + failed, before.released + released)


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
