"""Sends the signals of what was committed, on a thread of its own, so that no receiver delays a job."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from blinker import NamedSignal

from pyqueue.core import ids
from pyqueue.core.clock import to_datetime
from pyqueue.core.schedule import ScheduleRun
from pyqueue.core.signals import BY_EVENT, BreakerChange, JobChange, breaker_opened, schedule_fired, tell
from pyqueue.core.states import STATES
from pyqueue.core.store.breaker import NEVER_US
from pyqueue.core.store.transaction import Change, Trip

log = logging.getLogger(__name__)

# Changes that may wait for slow receivers. Beyond it the oldest are dropped, and the loss is logged.
PENDING_MAX: Final = 100_000
_IDLE_SECONDS: Final = 2.0


class Announcer:
    """Turns changes into blinker signals with `sender`, in the order of the commits of this process."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: the changes that waited are the parent's to announce."""
        self._pending: deque[tuple[NamedSignal, JobChange | BreakerChange | ScheduleRun]] = deque()
        self._mutex = threading.Lock()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        self._all_sent = threading.Event()
        self._all_sent.set()

    def announce(self, changes: Sequence[Change], *, salt: int, at_us: int) -> None:
        """Queues the signals of the changes somebody listens to; returns at once."""
        for change in changes:
            if BY_EVENT[change.event].receivers:
                self._put(BY_EVENT[change.event], _job_changes(change, salt, at_us))

    def announce_trips(self, trips: Sequence[Trip], *, at_us: int) -> None:
        """The same for breakers that have opened."""
        for trip in trips:
            until = None if trip.until_us >= NEVER_US else to_datetime(trip.until_us)
            log.warning("breaker opened", extra={"queue": trip.queue, "failures": trip.failures, "until": str(until)})
            if breaker_opened.receivers:
                change = BreakerChange(
                    queue=trip.queue,
                    failures=trip.failures,
                    open_until=until,
                    at=to_datetime(at_us),
                    error=trip.error,
                )
                self._put(breaker_opened, [change])

    def announce_firings(self, runs: Sequence[ScheduleRun]) -> None:
        """The same for what came of the moments of schedules."""
        if schedule_fired.receivers:
            self._put(schedule_fired, runs)

    def _put(self, signal: NamedSignal, changes: Sequence[JobChange | BreakerChange | ScheduleRun]) -> None:
        with self._mutex:
            self._all_sent.clear()
            self._pending.extend((signal, change) for change in changes)
            dropped = max(0, len(self._pending) - PENDING_MAX)
            for _ in range(dropped):
                self._pending.popleft()
            if self._thread is None:
                thread = threading.Thread(target=self._send_all, name="pyqueue-signals", daemon=True)
                thread.start()  # Raises if the machine has no threads left; the next change tries again.
                self._thread = thread
        if dropped:
            log.warning("signals dropped: the receivers are too slow", extra={"dropped": dropped})
        self._work.set()

    def drain(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds until everything announced so far was sent; False if it was not."""
        return self._thread is not threading.current_thread() and self._all_sent.wait(timeout)

    def _send_all(self) -> None:
        while True:
            if not self._work.wait(_IDLE_SECONDS):
                with self._mutex:
                    if not self._pending:
                        self._thread = None
                        return
            self._work.clear()
            while self._pending:
                self._send(*self._pending.popleft())
            with self._mutex:
                if not self._pending:
                    self._all_sent.set()

    def _send(self, signal: NamedSignal, fact: JobChange | BreakerChange | ScheduleRun) -> None:
        tell(signal, self._sender, **{"run" if signal is schedule_fired else "change": fact})


def _job_changes(change: Change, salt: int, at_us: int) -> list[JobChange]:
    state = None if change.state is None else STATES[change.state]
    return [
        JobChange(
            event=change.event,
            job_id=ids.to_text(key, salt),
            queue=change.queue,
            state=state,
            at_us=at_us,
            error=change.error,
            worker_id=change.worker_id,
        )
        for key in change.keys
    ]
