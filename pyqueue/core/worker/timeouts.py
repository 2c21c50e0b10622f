"""Noticing in time that a run takes too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from pyqueue.core.job import Job
from pyqueue.core.worker import faults
from pyqueue.core.worker.faults import OnFault
from pyqueue.core.worker.hand import Hand

_NEVER: Final = float("inf")
# The longest that a thread can be asked to wait.
_LONGEST_SECONDS: Final = 3_600.0


class Timeouts:
    """A thread that calls `expire` for each run whose `timeout_ms` is over; there is none before a job has one.

    It keeps no list: of the jobs that run, which are few, it looks for the one whose time is up next.
    """

    def __init__(self, hand: Hand, expire: Callable[[Job], None], on_fault: OnFault) -> None:
        self._hand, self._expire, self._on_fault = hand, expire, on_fault
        self._looks_at = _NEVER  # when it looks next, as by time.monotonic
        self._wake = threading.Event()
        self._is_stopped = False
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    def note(self, job: Job) -> None:
        """A run has begun."""
        if job.timeout_ms is not None and time.monotonic() + seconds_left(job) < self._looks_at:
            self._wake.set()
            with self._mutex:
                if self._thread is None:
                    self._thread = faults.thread("pyqueue-timeouts", self._watch, self._on_fault)
                    self._thread.start()

    def stop(self) -> None:
        self._is_stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._is_stopped:
            self._wake.clear()
            self._looks_at = _NEVER  # A run that begins while it looks may be one that it does not see: it looks again.
            seconds = self._expire_and_look()
            self._looks_at = time.monotonic() + seconds
            self._wake.wait(min(seconds, _LONGEST_SECONDS))

    def _expire_and_look(self) -> float:
        """Ends the runs that are over; gives the seconds until the next may be."""
        next_seconds = _NEVER
        for job in self._hand.running():
            seconds = seconds_left(job)
            if seconds <= 0:
                self._expire(job)
            else:
                next_seconds = min(next_seconds, seconds)
        return next_seconds


def seconds_left(job: Job) -> float:
    """Until the job's time is up, which runs from its claim."""
    if job.timeout_ms is None or job.started_us is None:
        return _NEVER
    return job.timeout_ms / 1_000 - (time.time() - job.started_us / 1_000_000)
