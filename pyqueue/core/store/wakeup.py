"""Waking those who wait for jobs.

Inside the process a commit wakes as many waiters of a queue as it made jobs ready. Of what other
processes commit they are told by datagrams (`store.bell`), and a slow poll is the safety net; both are
heard by a watcher thread, which runs only while somebody waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from pyqueue.core.errors import PyQueueError
from pyqueue.core.store.store import Bell

log = logging.getLogger(__name__)

# The safety net under the datagrams, for writers that cannot send any (a caller's own connection); and the
# only way where there is no loopback interface.
_POLL_SECONDS: Final = 0.25
_POLL_SECONDS_DEAF: Final = 0.05
# The watcher outlives its last waiter a little, since a worker waits again and again.
_IDLE_SECONDS: Final = 5.0
# How long an address stands without being renewed: what a killed process leaves behind costs others until then.
LISTEN_SECONDS: Final = 60.0
# More than there are: as many as wait for the topic.
ALL_WAITERS: Final = 1_000_000


# The topic of those who follow the event log. No queue is called so: their names hold no colon.
EVENTS_TOPIC: Final = "events:"


def job_topic(key: int) -> str:
    """The topic of the end of a job, which no queue can be called either."""
    return f"job:{key}"


def log_topic(key: int) -> str:
    """The topic of new messages of a job."""
    return f"log:{key}"


class Waiter:
    """One who waits for jobs of some queues, or for the end of a job.

    `wake` is called at most once, from any thread.
    """

    __slots__ = ("is_woken", "topics", "wake")

    def __init__(self, topics: Sequence[str], wake: Callable[[], None]) -> None:
        self.topics = frozenset(topics)
        self.wake = wake
        self.is_woken = False


class Registry(Protocol):
    """Where listeners leave their address, and how one notices commits without being told."""

    def register(self, port: int) -> None: ...

    def unregister(self, port: int) -> None: ...

    def data_version(self) -> int: ...

    def new_bell(self) -> Bell: ...


class Wakeups:
    """The waiters of a process, and the thread that hears from other processes while anyone waits."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: the waiters were the parent's, and so is its port."""
        self._mutex = threading.Lock()
        self._waiters: dict[Waiter, None] = {}
        self._watcher: threading.Thread | None = None
        self._bell: Bell = self._registry.new_bell()
        self._is_closed = False

    def add(self, waiter: Waiter) -> None:
        """Registers a waiter. Look for jobs after this, or one pushed in between is missed."""
        with self._mutex:
            self._waiters[waiter] = None
            if self._watcher is None:
                watcher = threading.Thread(target=self._watch, name="pyqueue-watch", daemon=True)
                watcher.start()  # Raises if the machine has no threads left; the next waiter tries again.
                self._watcher = watcher

    def remove(self, waiter: Waiter) -> None:
        """Takes a waiter out. One that was woken and found nothing to do passes nothing on: jobs stay pullable."""
        with self._mutex:
            self._waiters.pop(waiter, None)

    def close(self) -> None:
        """Ends the watcher, and wakes all who still wait."""
        self._is_closed = True
        self.notify_all()
        watcher, port = self._watcher, self._bell.port
        if watcher is not None and watcher is not threading.current_thread():
            if port is not None:
                self._bell.ring([port])
            watcher.join()

    def ring(self, ports: Iterable[int]) -> None:
        """Wakes other processes."""
        own = self._bell.port
        self._bell.ring([port for port in ports if port != own])

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
        has_heard = False
        idle_since = time.monotonic()
        try:
            with self._listening() as renew:
                while not self._is_closed:
                    renew()
                    if not has_heard:  # Else all were woken, and should not find this thread in their way.
                        version = self._version()
                        # The first reading tells nothing of what came before it, so it counts as news.
                        if version != seen:
                            self.notify_all()
                        seen = version
                    if self._waiters:
                        idle_since = time.monotonic()
                    if time.monotonic() - idle_since > _IDLE_SECONDS and self._ended_idle():
                        return
                    has_heard = self._hear_or_sleep()
        except PyQueueError as error:
            log.error("cannot hear of the jobs of other processes", extra={"error": str(error)})
            self._ended_idle(is_forced=True)

    def _hear_or_sleep(self) -> bool:
        """Until somebody rings, who is heard and passed on, or it is time to look at the database."""
        if self._bell.port is None:
            time.sleep(_POLL_SECONDS_DEAF)
            return False
        has_heard = self._bell.wait(_POLL_SECONDS)
        if has_heard:
            self.notify_all()
        return has_heard

    def _version(self) -> int | None:
        try:
            return self._registry.data_version()
        except PyQueueError as error:
            log.warning("cannot look for the jobs of other processes", extra={"error": str(error)})
            return None

    @contextmanager
    def _listening(self) -> Iterator[Callable[[], None]]:
        """Listens, with the address left in the database; gives a function that renews it when needed."""
        port = self._bell.listen()
        renewed_at = -LISTEN_SECONDS

        def renew() -> None:
            nonlocal renewed_at, port
            now = time.monotonic()
            if self._bell.port != port:  # It had to listen anew.
                port, renewed_at = self._bell.port, -LISTEN_SECONDS
            if port is not None and now - renewed_at > LISTEN_SECONDS / 2:
                self._registry.register(port)
                renewed_at = now

        try:
            yield renew
        finally:
            self._bell.close()
            if port is not None:
                self._registry.unregister(port)

    def _ended_idle(self, *, is_forced: bool = False) -> bool:
        with self._mutex:
            if self._waiters and not is_forced:
                return False
            self._watcher = None
            return True
