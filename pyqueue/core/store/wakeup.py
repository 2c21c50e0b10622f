"""Waking those who wait for jobs.

Inside the process a commit wakes as many waiters of a queue as it made jobs ready. What other
processes commit is noticed by a watcher thread, which runs only while somebody waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pyqueue.core.errors import PyQueueError

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.1
# The watcher outlives its last waiter a little, since a worker waits again and again.
_IDLE_POLLS: Final = 20


def job_topic(key: int) -> str:
    """The topic of the end of a job. No queue is called so: their names hold no colon."""
    return f"job:{key}"


class Waiter:
    """One who waits for jobs of some queues, or for the end of a job.

    `wake` is called at most once, from any thread.
    """

    __slots__ = ("is_woken", "topics", "wake")

    def __init__(self, topics: Sequence[str], wake: Callable[[], None]) -> None:
        self.topics = frozenset(topics)
        self.wake = wake
        self.is_woken = False


class Wakeups:
    """The waiters of a process. `data_version` tells whether another process has committed."""

    def __init__(self, data_version: Callable[[], int]) -> None:
        self._data_version = data_version
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: the waiters were the parent's."""
        self._mutex = threading.Lock()
        self._waiters: dict[Waiter, None] = {}
        self._watcher: threading.Thread | None = None
        self._stop = threading.Event()

    def add(self, waiter: Waiter) -> None:
        """Registers a waiter. Look for jobs after this, or one pushed in between is missed."""
        with self._mutex:
            self._waiters[waiter] = None
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="pyqueue-watch", daemon=True)
                self._watcher.start()

    def remove(self, waiter: Waiter) -> None:
        """Takes a waiter out. One that was woken and found nothing to do passes nothing on: jobs stay pullable."""
        with self._mutex:
            self._waiters.pop(waiter, None)

    def close(self) -> None:
        """Ends the watcher, and wakes all who still wait."""
        self._stop.set()
        self.notify_all()
        watcher = self._watcher
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()

    @property
    def is_anyone_waiting(self) -> bool:
        """Whether a notice could wake somebody."""
        return bool(self._waiters)

    def notify(self, ready: Mapping[str, int]) -> None:
        """Wakes as many waiters of each queue as it has new ready jobs, the longest waiting first."""
        with self._mutex:
            woken = []
            for topic, number in ready.items():
                candidates = [waiter for waiter in self._waiters if topic in waiter.topics and waiter not in woken]
                woken += candidates[:number]
            self._take_out(woken)
        for waiter in woken:
            waiter.wake()

    def notify_all(self) -> None:
        """Wakes everyone: something changed, and only looking tells what."""
        with self._mutex:
            woken = list(self._waiters)
            self._take_out(woken)
        for waiter in woken:
            waiter.wake()

    def _take_out(self, woken: Sequence[Waiter]) -> None:
        for waiter in woken:
            del self._waiters[waiter]
            waiter.is_woken = True

    def _watch(self) -> None:
        seen: int | None = None
        idle_polls = 0
        while not self._stop.is_set():
            try:
                version = self._data_version()
            except PyQueueError as error:
                log.warning("cannot look for the jobs of other processes", extra={"error": str(error)})
                version = None
            # The first reading tells nothing of what came before it, so it counts as news.
            if version != seen:
                self.notify_all()
            seen = version
            idle_polls = 0 if self._waiters else idle_polls + 1
            if idle_polls >= _IDLE_POLLS and self._ended_idle():
                return
            self._stop.wait(_POLL_SECONDS)

    def _ended_idle(self) -> bool:
        with self._mutex:
            if self._waiters:
                return False
            self._watcher = None
            return True
