"""The jobs a worker has in hand, from the claim to the committed outcome."""

from __future__ import annotations

import threading
import time

from pyqueue.core.job import Job


class Hand:
    """Counts and lists the jobs in hand; shared by the threads of a worker.

    A job is *ready* (claimed, not started), then *running*, then *finishing* (its outcome is
    not committed yet). Heartbeats are sent for all of them. Of those who could end a run (the handler, its
    timeout, a second signal) the first takes the job out of *running*, and the word of the others is not taken.
    """

    def __init__(self) -> None:
        # Whoever waits says for what, so that the runners, who pass here with every job, wake nobody in vain.
        self._changed = threading.Condition(threading.Lock())
        self._wakes_at = -1
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
            ready, _ = self._ready.get(job.key, (None, 0.0))
            if ready is not job:  # Given back; and perhaps claimed again, under another lease.
                return False
            del self._ready[job.key]
            self._running[job.key] = job
            return True

    def finish(self, job: Job) -> bool:
        """The run has ended; False if that was known already, and the job is perhaps in another run by now."""
        with self._changed:
            if self._running.get(job.key) is not job:
                return False
            self._finishing[job.key] = self._running.pop(job.key)
            if len(self._ready) + len(self._running) <= self._wakes_at:
                self._changed.notify_all()
            return True

    def settle(self, jobs: list[Job]) -> None:
        """Outcomes are committed, or refused: the jobs are ours no more."""
        with self._changed:
            for job in jobs:
                if self._finishing.get(job.key) is job:  # Else it was in hand again, in a later run.
                    del self._finishing[job.key]
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

    def is_running(self, job: Job) -> bool:
        with self._changed:
            return self._running.get(job.key) is job

    def let_go(self) -> list[Job]:
        """Takes out the jobs that run."""
        with self._changed:
            jobs = list(self._running.values())
            self._running.clear()
            return jobs

    def wait_for_room(self, in_hand: int, seconds: float) -> None:
        """Waits until no more than so many are ready or running, something was settled, or so long."""
        with self._changed:
            if len(self._ready) + len(self._running) <= in_hand:
                return
            self._wakes_at = in_hand
            self._changed.wait(seconds)
            self._wakes_at = -1

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
