"""Running jobs in child processes: for work that holds the GIL, leaks, or may crash.

Everything that is said about a job is said by the worker: it claims, beats and commits. A child only runs, so
whatever becomes of it costs the one job that it had.
"""

from __future__ import annotations

import logging
import threading
import time
from queue import SimpleQueue
from typing import Final, NamedTuple

from pyqueue.core.errors import ConfigError
from pyqueue.core.job import Job
from pyqueue.core.worker.child import Child, ChildDied
from pyqueue.core.worker.outcome import Crashed, End, Outcome, Stopped
from pyqueue.core.worker.pipe import Work
from pyqueue.core.worker.run import Begin, Finish

log = logging.getLogger(__name__)

_RESPAWN_SECONDS: Final = (0.1, 1.0, 5.0, 30.0)


class Recycling(NamedTuple):
    """When a child is replaced, between two jobs; None: never."""

    max_jobs: int | None = None
    max_memory_mb: int | None = None

    def is_due(self, child: Child) -> bool:
        if self.max_jobs is not None and child.jobs_done >= self.max_jobs:
            return True
        return self.max_memory_mb is not None and (child.memory_mb or 0) > self.max_memory_mb


class ProcessRunner:
    """`concurrency` places, each a thread here that has one child process at a time."""

    def __init__(self, work: Work, concurrency: int, recycling: Recycling, begin: Begin, end: Finish) -> None:
        self._work, self._recycling, self._begin, self._end = work, recycling, begin, end
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._is_stopping = threading.Event()
        self._places = [_Place(number) for number in range(concurrency)]

    def start(self) -> None:
        """Starts the children; the first is waited for, to see whether they can run at all.

        Raises:
            ConfigError: they cannot.
        """
        first = Child(self._work)
        try:
            first.wait_ready()
        except ChildDied as error:
            raise ConfigError(f"a child process cannot run {self._work.import_path!r}: {error}") from error
        self._places[0].child = first
        for place in self._places:
            place.thread = threading.Thread(
                target=self._serve, args=(place,), name=f"pyqueue-child-{place.number}", daemon=True
            )
            place.thread.start()

    def submit(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._jobs.put(job)

    def cancel(self, job: Job) -> None:
        self.abandon(job)

    def abandon(self, job: Job) -> None:
        """Kills the process that runs the job; its place gets another."""
        for place in self._places:
            place.kill(job)

    def stop(self, *, is_at_once: bool) -> None:
        self._is_stopping.set()
        for place in self._places:
            self._jobs.put(None)
            if is_at_once:
                place.kill(None)
        for place in self._places:
            if place.thread is not None:
                place.thread.join()

    def _serve(self, place: _Place) -> None:
        while self._has_child(place) and (job := self._jobs.get()) is not None:
            if self._begin(job):
                self._end(self._run(place, job))
                if place.child is not None and self._recycling.is_due(place.child):
                    self._retire(place.child)
                    place.child = None
        if place.child is not None:
            place.child.close()

    def _retire(self, child: Child) -> None:
        facts = {"pid": child.pid, "jobs": child.jobs_done, "memory_mb": child.memory_mb}
        log.info("a child process is replaced", extra=facts)
        child.close()

    def _run(self, place: _Place, job: Job) -> Outcome:
        started = time.perf_counter()
        child = place.begin(job)
        try:
            reply = child.run(job)
        except ChildDied as death:
            end: End = Stopped() if place.is_killed else Crashed(str(death))
            return Outcome(job, end, time.perf_counter() - started)
        finally:
            place.finish()
        return Outcome(job, reply.end, reply.seconds)

    def _has_child(self, place: _Place) -> bool:
        """Gives the place a child if it has none; False if the worker ends before that succeeds."""
        tries = 0
        while place.child is None and not self._is_stopping.is_set():
            child = Child(self._work)
            try:
                child.wait_ready()
                place.child = child
            except ChildDied as error:
                log.error("a child process could not start; trying again", extra={"error": str(error)})
                self._is_stopping.wait(_RESPAWN_SECONDS[min(tries, len(_RESPAWN_SECONDS) - 1)])
                tries += 1
        return place.child is not None


class _Place:
    """A child, the job that it runs, and whether it was killed on purpose."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: Child | None = None
        self.thread: threading.Thread | None = None
        self.is_killed = False
        self._job: Job | None = None
        self._mutex = threading.Lock()

    def begin(self, job: Job) -> Child:
        with self._mutex:
            assert self.child is not None
            self._job, self.is_killed = job, False
            return self.child

    def finish(self) -> None:
        """The run is over; so is a child that was killed, even if its answer came before."""
        with self._mutex:
            self._job = None
            if self.is_killed or (self.child is not None and self.child.has_died):
                self.child = None

    def kill(self, job: Job | None) -> None:
        """Kills the child if it runs the job, or any job if None."""
        with self._mutex:
            if self.child is not None and self._job is not None and (job is None or self._job is job):
                self.is_killed = True
                self.child.kill()
