"""Running handlers: plain functions on threads, coroutine functions on one event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pyqueue.core.job import Job

log = logging.getLogger(__name__)

Handler = Callable[[Job], Any]


class Outcome(NamedTuple):
    """How a run ended. `is_cancelled`: the worker stopped it, so it is given back, not failed."""

    job: Job
    result: Any = None
    error: BaseException | None = None
    is_cancelled: bool = False
    seconds: float = 0.0


class Runner(Protocol):
    """Runs jobs, and hands each outcome on."""

    def submit(self, jobs: list[Job]) -> None:
        """Runs the jobs as soon as there is a free place."""
        ...

    def cancel(self, job: Job) -> None:
        """Stops a run, if that can be done."""
        ...

    def stop(self, *, is_at_once: bool) -> None:
        """Ends the runner; runs in progress are left behind if `is_at_once`."""
        ...


@runtime_checkable
class EitherHandler(Protocol):
    """A handler that runs some jobs on threads and others on the event loop."""

    def is_async(self, job: Job) -> bool: ...

    def run(self, job: Job) -> Any: ...

    async def arun(self, job: Job) -> Any: ...


def mode_of(handler: Handler | EitherHandler) -> str:
    """How a handler is run: on threads, on an event loop, or some jobs on these and some on that."""
    if isinstance(handler, EitherHandler):
        return "thread+async"
    call = handler if inspect.isfunction(handler) or inspect.ismethod(handler) else type(handler).__call__
    return "async" if inspect.iscoroutinefunction(call) else "thread"


def runner_for(
    handler: Handler | EitherHandler, concurrency: int, begin: Callable[[Job], bool], end: Callable[[Outcome], None]
) -> Runner:
    """The runner that fits the handler. `begin` is asked before each run, `end` told after it."""
    if isinstance(handler, EitherHandler):
        return EitherRunner(handler, concurrency, begin, end)
    if mode_of(handler) == "async":
        return LoopRunner(handler, concurrency, begin, end)
    return ThreadRunner(handler, concurrency, begin, end)


class ThreadRunner:
    """`concurrency` threads that take jobs in order."""

    def __init__(
        self, handler: Handler, concurrency: int, begin: Callable[[Job], bool], end: Callable[[Outcome], None]
    ) -> None:
        self._handler, self._begin, self._end = handler, begin, end
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        # Daemons: a second signal must be able to leave a handler behind that never returns.
        self._threads = [
            threading.Thread(target=self._work, name=f"pyqueue-run-{number}", daemon=True)
            for number in range(concurrency)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._jobs.put(job)

    def cancel(self, job: Job) -> None:
        log.info("job was cancelled; its handler runs on a thread and goes on", extra={"job_id": job.id})

    def stop(self, *, is_at_once: bool) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        if not is_at_once:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._begin(job):
                self._end(self._run(job))

    def _run(self, job: Job) -> Outcome:
        started = time.perf_counter()
        try:
            result = self._handler(job)
        except BaseException as error:  # Also SystemExit: a job must not end its worker.
            return Outcome(job, error=_of_handler(error), seconds=time.perf_counter() - started)
        return Outcome(job, result, seconds=time.perf_counter() - started)


class LoopRunner:
    """Up to `concurrency` tasks on an event loop with a thread of its own."""

    def __init__(
        self,
        handler: Callable[[Job], Coroutine[Any, Any, Any]],
        concurrency: int,
        begin: Callable[[Job], bool],
        end: Callable[[Outcome], None],
    ) -> None:
        self._handler, self._begin, self._end = handler, begin, end
        self._concurrency = concurrency
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._places = asyncio.Semaphore(concurrency)
        self._thread = threading.Thread(target=self._loop.run_forever, name="pyqueue-loop", daemon=True)
        self._thread.start()

    def submit(self, jobs: list[Job]) -> None:
        self._loop.call_soon_threadsafe(self._start, jobs)

    def cancel(self, job: Job) -> None:
        self._loop.call_soon_threadsafe(self._cancel, job.key)

    def stop(self, *, is_at_once: bool) -> None:
        asyncio.run_coroutine_threadsafe(self._end_all(is_at_once), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _start(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._tasks[job.key] = self._loop.create_task(self._run(job), name=f"pyqueue job {job.id}")

    def _cancel(self, key: int) -> None:
        if key in self._tasks:
            self._tasks[key].cancel()

    async def _run(self, job: Job) -> None:
        try:
            async with self._places:
                if self._begin(job):
                    self._end(await self._outcome(job))
        finally:
            del self._tasks[job.key]

    async def _outcome(self, job: Job) -> Outcome:
        started = time.perf_counter()
        try:
            result = await self._handler(job)
        except asyncio.CancelledError as error:
            return Outcome(job, error=error, is_cancelled=True, seconds=time.perf_counter() - started)
        except BaseException as error:  # Also SystemExit: a job must not end its worker.
            return Outcome(job, error=_of_handler(error), seconds=time.perf_counter() - started)
        return Outcome(job, result, seconds=time.perf_counter() - started)

    async def _end_all(self, is_at_once: bool) -> None:
        tasks = list(self._tasks.values())
        if is_at_once:
            for task in tasks:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0 if is_at_once else None)


class EitherRunner:
    """Threads for plain functions and an event loop for coroutine functions, `concurrency` of each."""

    def __init__(
        self, handler: EitherHandler, concurrency: int, begin: Callable[[Job], bool], end: Callable[[Outcome], None]
    ) -> None:
        self._is_async = handler.is_async
        self._threads = ThreadRunner(handler.run, concurrency, begin, end)
        self._loop = LoopRunner(handler.arun, concurrency, begin, end)

    def submit(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._runner_of(job).submit([job])

    def cancel(self, job: Job) -> None:
        self._runner_of(job).cancel(job)

    def stop(self, *, is_at_once: bool) -> None:
        self._threads.stop(is_at_once=is_at_once)
        self._loop.stop(is_at_once=is_at_once)

    def _runner_of(self, job: Job) -> Runner:
        return self._loop if self._is_async(job) else self._threads


def _of_handler(error: BaseException) -> BaseException:
    """The error with a traceback that begins in the handler, not in this module."""
    trace = error.__traceback__
    return error if trace is None else error.with_traceback(trace.tb_next)
