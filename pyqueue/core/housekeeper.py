"""Does what falls due by itself, in time: sleeps until the next due moment, not on a tick."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Final

from pyqueue.core.clock import to_datetime
from pyqueue.core.engine.housekeeping import Remove, Sweep, Swept, is_anything_due, outlived
from pyqueue.core.errors import PyQueueError
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import HousekeepingReport
from pyqueue.core.limits import SWEEP_CHUNK
from pyqueue.core.states import CANCELLED, COMPLETED, DLQ
from pyqueue.core.store import claim

log = logging.getLogger(__name__)

_DAY_US: Final = 24 * 3_600 * 1_000_000
# How long finished jobs stay: the defaults of RustQueue; cancelled ones, which it keeps for ever, like dead ones.
KEEP_US: Final = {COMPLETED: 7 * _DAY_US, DLQ: 90 * _DAY_US, CANCELLED: 30 * _DAY_US}

# Leases taken by other processes are not announced to this one, so look at least this often.
_LONGEST_SLEEP_SECONDS: Final = 1.0
_AFTER_ERROR_SECONDS: Final = 1.0
_RETENTION_EVERY_SECONDS: Final = 600.0


class Housekeeper:
    """Housekeeping for one handle: single passes, or a thread that makes them when they are due."""

    def __init__(self, runtime: Runtime, keep_us: dict[int, int] | None = None) -> None:
        self._runtime = runtime
        self._keep_us = KEEP_US if keep_us is None else keep_us
        self._retention_at = 0.0
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._sleeps_until_us: int | None = None
        self._thread: threading.Thread | None = None

    def run_once(self, *, with_retention: bool = True) -> HousekeepingReport:
        """Does all that is due now, in chunks; old finished jobs are removed too."""
        sweeps: list[Swept] = []
        while self._runtime.read(is_anything_due):
            sweeps.append(self._runtime.write(Sweep()))
            if not sweeps[-1].is_full:
                break
        removed = self._remove_outlived() if with_retention else 0
        due_us = self._runtime.read(claim.next_due_us)
        return HousekeepingReport(
            promoted=sum(sweep.promoted for sweep in sweeps),
            expired=sum(sweep.expired for sweep in sweeps),
            stalled=sum(sweep.stalled for sweep in sweeps),
            timed_out=sum(sweep.timed_out for sweep in sweeps),
            removed=removed,
            next_due_at=None if due_us is None else to_datetime(due_us),
        )

    def start(self) -> None:
        """Starts the thread, if it does not run."""
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="pyqueue-housekeeping", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the pass it is in."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        forget = self._runtime.on_due(self._look_at)
        try:
            while not self._stop.is_set():
                self._wake.clear()
                self._wake.wait(self._pass_and_plan())
        finally:
            forget()

    def _look_at(self, due_us: int) -> None:
        """A commit of this process made something due; wake up if that is before the plan."""
        if self._sleeps_until_us is None or due_us < self._sleeps_until_us:
            self._wake.set()

    def _pass_and_plan(self) -> float:
        """One pass; gives the seconds until the next."""
        now = time.monotonic()
        is_time_for_retention = now >= self._retention_at
        try:
            report = self.run_once(with_retention=is_time_for_retention)
        except PyQueueError as error:
            log.error("housekeeping failed and will be tried again", extra={"error": str(error)})
            return _AFTER_ERROR_SECONDS
        if is_time_for_retention:
            self._retention_at = now + _RETENTION_EVERY_SECONDS * random.uniform(0.9, 1.1)
        if report.next_due_at is None:
            return self._plan(_LONGEST_SLEEP_SECONDS)
        seconds = (report.next_due_at - to_datetime(self._runtime.clock.now_us())).total_seconds()
        return self._plan(min(max(seconds, 0.0), _LONGEST_SLEEP_SECONDS))

    def _plan(self, seconds: float) -> float:
        self._sleeps_until_us = self._runtime.clock.now_us() + int(seconds * 1_000_000)
        return seconds

    def _remove_outlived(self) -> int:
        removed, after = 0, 0
        while not self._stop.is_set():
            keys, last = self._runtime.read(lambda tx, after=after: outlived(tx, after=after, keep_us=self._keep_us))  # type: ignore[misc]
            for start in range(0, len(keys), SWEEP_CHUNK):
                removed += self._runtime.write(Remove(tuple(keys[start : start + SWEEP_CHUNK])))
            if last is None:
                break
            after = last
        return removed
