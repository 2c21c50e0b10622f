"""The jobs a worker has in hand, from the claim to the committed outcome."""

from __future__ import annotations

import threading
import time

from pyqueue.core.job import Job


class Hand:
    """Counts and lists the jobs in hand; shared by the threads of a worker.

    A job is *ready* (claimed, not started), then *running*, then *finishing* (its outcome is
    not committed yet). Heartbeats are sent for all of them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ready: dict[int, tuple[Job, float]] = {}
        self._running: dict[int, Job] = {}
        self._finishing: dict[int, Job] = {}

    def take(self, jobs: list[Job]) -> None:
        """Jobs just claimed."""
        now = time.monotonic()
        with self._changed:
            self._ready.update((job.key, (job, now)) for job in jobs)

    def start(self, job: Job) -> bool:
        """A runner wants to begin; False if the job was given back or lost meanwhile."""
        with self._changed:
            if self._ready.pop(job.key, None) is None:
                return False
            self._running[job.key] = job
            self._changed.notify_all()
            return True

    def finish(self, job: Job) -> None:
        """The handler has ended."""
        with self._changed:
            if self._running.pop(job.key, None) is not None:
                self._finishing[job.key] = job
            self._changed.notify_all()

    def settle(self, jobs: list[Job]) -> None:
        """Outcomes are committed, or refused: the jobs are ours no more."""
        with self._changed:
            for job in jobs:
                self._finishing.pop(job.key, None)
                self._running.pop(job.key, None)
            self._changed.notify_all()

    def take_back(self, *, older_than_seconds: float = 0.0) -> list[Job]:
        """Takes out the jobs that have been ready for so long without being started."""
        limit = time.monotonic() - older_than_seconds
        with self._changed:
            overdue = [job for job, since in self._ready.values() if since <= limit]
            for job in overdue:
                del self._ready[job.key]
            if overdue:
                self._changed.notify_all()
            return overdue

    def counts(self) -> tuple[int, int, int]:
        """How many are ready, running, finishing."""
        with self._changed:
            return len(self._ready), len(self._running), len(self._finishing)

    def jobs(self) -> list[Job]:
        """All jobs in hand."""
        with self._changed:
            return [*(job for job, _ in self._ready.values()), *self._running.values(), *self._finishing.values()]

    def running(self) -> list[Job]:
        with self._changed:
            return list(self._running.values())

    def wait_for_change(self, seconds: float) -> None:
        """Waits until something has moved, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_until_empty(self, seconds: float) -> bool:
        """Waits until nothing is in hand; False if something is after so long."""
        with self._changed:
            return self._changed.wait_for(self.is_empty, seconds)

    def notify(self) -> None:
        """Wakes those who wait for a change, to look at something else."""
        with self._changed:
            self._changed.notify_all()

    def is_empty(self) -> bool:
        return not (self._ready or self._running or self._finishing)
