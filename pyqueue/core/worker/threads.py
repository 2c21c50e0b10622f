"""Running plain functions on threads."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import count

from pyqueue.core.job import Job
from pyqueue.core.worker import outcome
from pyqueue.core.worker.outcome import Outcome
from pyqueue.core.worker.run import Handler

log = logging.getLogger(__name__)


class ThreadRunner:
    """`concurrency` threads that take jobs in order."""

    def __init__(
        self, handler: Handler, concurrency: int, begin: Callable[[Job], bool], end: Callable[[Outcome], None]
    ) -> None:
        self._handler, self._begin, self._end = handler, begin, end
        self._concurrency = concurrency
        self._places: list[_Place] = []
        # Deque, list and flag are used without a lock, each by calls that are atomic: with every job it would be
        # taken twice. Who becomes idle looks again afterwards, and who adds a job looks for the idle afterwards.
        self._jobs: deque[Job] = deque()
        # The last is woken first: most likely it is still warm. A SimpleQueue would wake another with every job.
        self._idle: list[_Place] = []
        self._is_over = False
        self._left_behind = 0

    def start(self) -> None:
        self._places = [_Place(self._work) for _ in range(self._concurrency)]

    def submit(self, jobs: list[Job]) -> None:
        self._jobs.extend(jobs)
        self._wake_one()

    def cancel(self, job: Job) -> None:
        log.info("job was cancelled; its handler runs on a thread and goes on", extra={"job_id": job.id})

    def abandon(self, job: Job) -> None:
        """Leaves the thread behind that runs the job, since no thread can be stopped; another takes its place."""
        for number, place in enumerate(self._places):
            if place.job is job:
                place.is_left = True
                self._places[number] = _Place(self._work)
                self._left_behind += 1
                log.warning(
                    "a handler is left behind on its thread: it did not return in time, and a thread cannot be stopped",
                    extra={"job_id": job.id, "job_name": job.name, "threads_left_behind": self._left_behind},
                )
                return

    def stop(self, *, is_at_once: bool) -> None:
        self._is_over = True
        self._wake_one()
        if not is_at_once:
            for place in self._places:
                place.thread.join()

    def _work(self, place: _Place) -> None:
        while not place.is_left and (job := self._next_job(place)) is not None:
            place.job = job
            if self._begin(job):
                self._end(outcome.run(job, self._handler))
            place.job = None
        if place.is_left:
            self._left_behind -= 1

    def _next_job(self, place: _Place) -> Job | None:
        """Waits for it; None at the end. Passes on that there are more: woken all at once, threads get in their way."""
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                if self._is_over:
                    self._wake_one()
                    return None
                self._idle.append(place)
                self._wake_one()
                place.turn.acquire()
            else:
                if self._idle:
                    self._wake_one()
                return job

    def _wake_one(self) -> None:
        """Wakes a thread, if there is something for it."""
        if self._jobs or self._is_over:
            try:
                place = self._idle.pop()
            except IndexError:
                return
            place.turn.release()


class _Place:
    """A thread that runs one job at a time; `is_left`: another has taken its place, and it ends with this job."""

    _numbers = count(1)

    def __init__(self, work: Callable[[_Place], None]) -> None:
        self.job: Job | None = None
        self.is_left = False
        self.turn = threading.Lock()  # Held while the thread is not told to look for a job.
        self.turn.acquire()
        # A daemon: the end of the worker must be able to leave a handler behind that never returns.
        name = f"pyqueue-run-{next(self._numbers)}"
        self.thread = threading.Thread(target=work, args=(self,), name=name, daemon=True)
        self.thread.start()
