"""Running coroutine functions as tasks on an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pyqueue.core.job import Job
from pyqueue.core.worker.outcome import End, Outcome, Stopped, end_by, end_with

# How long cancelled tasks may take to clean up when the worker must leave.
_AT_ONCE_SECONDS: Final = 1.0


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
        self._places = concurrency
        # What follows is touched on the loop's thread only.
        self._waiting: deque[Job] = deque()
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._given_up: set[Job] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pyqueue-loop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, jobs: list[Job]) -> None:
        self._loop.call_soon_threadsafe(self._take, jobs)

    def cancel(self, job: Job) -> None:
        self._loop.call_soon_threadsafe(self._cancel, job)

    def abandon(self, job: Job) -> None:
        """Cancels the task of the job. One that does not mind gives up its place all the same."""
        self._loop.call_soon_threadsafe(self._abandon, job)

    def stop(self, *, is_at_once: bool) -> None:
        ended = asyncio.run_coroutine_threadsafe(self._end_all(is_at_once), self._loop)
        try:
            ended.result(None if not is_at_once else _AT_ONCE_SECONDS * 2)
        except TimeoutError:
            return  # A handler blocks the loop; like a thread, it is left behind.
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    # --- on the thread of the loop ---------------------------------------------------------------

    def _take(self, jobs: list[Job]) -> None:
        self._waiting.extend(jobs)
        self._fill()

    def _fill(self) -> None:
        while self._places > 0 and self._waiting:
            job = self._waiting.popleft()
            if self._begin(job):
                self._places -= 1
                self._tasks[job] = self._loop.create_task(self._run(job))

    def _cancel(self, job: Job) -> None:
        if job in self._tasks:
            self._tasks[job].cancel()

    def _abandon(self, job: Job) -> None:
        if job in self._tasks:
            self._tasks[job].cancel()
            self._given_up.add(job)
            self._places += 1
            self._fill()

    async def _run(self, job: Job) -> None:
        started = time.perf_counter()
        try:
            end: End = end_with(await self._handler(job))
        except asyncio.CancelledError:
            end = Stopped()
        except BaseException as error:  # Also SystemExit: a job must not end its worker.
            end = end_by(error)
        self._end(Outcome(job, end, time.perf_counter() - started))
        del self._tasks[job]
        if job in self._given_up:
            self._given_up.remove(job)
        else:
            self._places += 1
            self._fill()

    async def _end_all(self, is_at_once: bool) -> None:
        tasks = [task for job, task in self._tasks.items() if job not in self._given_up]
        if is_at_once:
            for task in tasks:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_AT_ONCE_SECONDS if is_at_once else None)
