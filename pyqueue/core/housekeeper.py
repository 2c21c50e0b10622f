"""Does what falls due by itself, in time: sleeps until the next due moment, not on a tick."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from typing import Final

from pyqueue.core.clock import to_datetime
from pyqueue.core.engine.figures import ForgetTotals
from pyqueue.core.engine.firing import Fire, is_due
from pyqueue.core.engine.housekeeping import Remove, Sweep, is_anything_due, next_due_us, outlived
from pyqueue.core.engine.processes import ForgetEvents, ForgetLimits, Lead, Resign, may_lead
from pyqueue.core.engine.sweep import Swept
from pyqueue.core.errors import PyQueueError
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import HousekeepingReport
from pyqueue.core.limits import SWEEP_CHUNK
from pyqueue.core.states import CANCELLED, COMPLETED, DLQ
from pyqueue.core.store import fork

log = logging.getLogger(__name__)

_DAY_US: Final = 24 * 3_600 * 1_000_000
# How long finished jobs stay: the defaults of RustQueue; cancelled ones, which it keeps for ever, like dead ones.
KEEP_US: Final = {COMPLETED: 7 * _DAY_US, DLQ: 90 * _DAY_US, CANCELLED: 30 * _DAY_US}

# Leases taken by other processes are not announced to this one, so the leader looks at least this often.
_LONGEST_SLEEP_SECONDS: Final = 1.0
# A leader renews half-way; one that dies is followed within the lease and one look of a candidate.
_LEAD_MS: Final = 4_000
_CANDIDATE_SECONDS: Final = 1.5
_AFTER_ERROR_SECONDS: Final = 1.0
_RETENTION_EVERY_SECONDS: Final = 600.0
_TIDY_EVERY_SECONDS: Final = 10.0
# What the event log holds: enough to reconnect after a restart, bounded on a busy day.
EVENTS_KEPT: Final = 100_000
_EVENTS_KEPT_MS: Final = 24 * 3_600 * 1_000
# An empty queue's totals go when nothing has happened to it for so long.
_TOTALS_KEPT_MS: Final = 7 * 24 * 3_600 * 1_000


class Housekeeper:
    """Housekeeping for one handle: single passes, or a thread that makes them when they are due.

    Of all the threads on one database only one works, the one that holds the lead; the others look
    from time to time whether it is still there. Two leaders would do no harm, but the work twice.
    """

    def __init__(self, runtime: Runtime, keep_us: dict[int, int] | None = None) -> None:
        self._runtime = runtime
        self._keep_us = KEEP_US if keep_us is None else keep_us
        self.after_fork()
        fork.watch(self)

    def before_fork(self) -> None:
        """Nothing of it is in the way of a fork."""

    def after_fork_in_parent(self) -> None:
        """Goes on as before."""

    def after_fork(self) -> None:
        """Begins afresh: the thread was the parent's, and so is the lead."""
        self._holder = os.urandom(8).hex()
        self._retention_at = 0.0
        self._tidy_at = 0.0
        self._renew_at = 0.0
        self.last_pass_seconds: float | None = None
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
        fired = self._fire()
        removed = self._remove_outlived() if with_retention else 0
        due_us = self._runtime.read(next_due_us)
        return HousekeepingReport(
            promoted=sum(sweep.promoted for sweep in sweeps),
            expired=sum(sweep.expired for sweep in sweeps),
            stalled=sum(sweep.stalled for sweep in sweeps),
            timed_out=sum(sweep.timed_out for sweep in sweeps),
            removed=removed,
            fired=fired,
            next_due_at=None if due_us is None else to_datetime(due_us),
        )

    def _fire(self) -> int:
        """Fires the schedules that are due; gives how many jobs that were."""
        jobs = 0
        while self._runtime.read(is_due):
            fired = self._runtime.write(Fire())
            jobs += sum(run.job_id is not None for run in fired.runs)
            for run in fired.runs:
                log.info("schedule fired", extra={"schedule": run.schedule, "job_id": run.job_id, "note": run.error})
            for schedule, error in fired.new_errors:  # Once, not at every moment that it goes on.
                log.warning("schedule pushes no jobs", extra={"schedule": schedule, "error": error})
            if not fired.is_full:
                break
        return jobs

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
                self._wake.wait(self._turn())
        finally:
            forget()
            self._resign()

    def _turn(self) -> float:
        """One look; gives the seconds until the next."""
        try:
            if not self._leads():
                return _CANDIDATE_SECONDS * random.uniform(0.8, 1.2)
            return self._pass_and_plan()
        except PyQueueError as error:
            log.error("housekeeping failed and will be tried again", extra={"error": str(error)})
            return _AFTER_ERROR_SECONDS

    def _leads(self) -> bool:
        """Whether the lead is ours; asks the database only when it is time to renew it."""
        now = time.monotonic()
        if now < self._renew_at:
            return True
        self._renew_at = 0.0
        if not self._runtime.read(lambda tx: may_lead(tx, self._holder)):
            self._sleeps_until_us = 0  # Others see to what falls due.
            return False
        is_ours = self._runtime.write(Lead(self._holder, _LEAD_MS))
        if is_ours:
            self._renew_at = now + _LEAD_MS / 2_000
        return is_ours

    def _resign(self) -> None:
        try:
            self._runtime.write(Resign(self._holder))
        except PyQueueError as error:
            log.debug("the lead was not given up; it ends by itself", extra={"error": str(error)})

    def _look_at(self, due_us: int) -> None:
        """A commit of this process made something due; wake up if that is before the plan."""
        if self._sleeps_until_us is None or due_us < self._sleeps_until_us:
            self._wake.set()

    def _pass_and_plan(self) -> float:
        """One pass; gives the seconds until the next."""
        now = time.monotonic()
        is_time_for_retention = now >= self._retention_at
        report = self.run_once(with_retention=is_time_for_retention)
        self.last_pass_seconds = time.monotonic() - now
        if is_time_for_retention:
            self._runtime.write(ForgetTotals(_TOTALS_KEPT_MS))
            self._retention_at = now + _RETENTION_EVERY_SECONDS * random.uniform(0.9, 1.1)
        if now >= self._tidy_at:
            self._forget_events()
            self._runtime.write(ForgetLimits(SWEEP_CHUNK))
            self._runtime.store.tidy()
            self._tidy_at = now + _TIDY_EVERY_SECONDS
        if report.next_due_at is None:
            return self._plan(_LONGEST_SLEEP_SECONDS)
        seconds = (report.next_due_at - to_datetime(self._runtime.clock.now_us())).total_seconds()
        return self._plan(min(max(seconds, 0.0), _LONGEST_SLEEP_SECONDS))

    def _forget_events(self) -> None:
        operation = ForgetEvents(EVENTS_KEPT, _EVENTS_KEPT_MS, SWEEP_CHUNK * 10)
        while not self._stop.is_set() and self._runtime.write(operation) == operation.chunk:
            continue

    def _plan(self, seconds: float) -> float:
        self._sleeps_until_us = self._runtime.clock.now_us() + int(seconds * 1_000_000)
        return seconds

    def _remove_outlived(self) -> int:
        removed, after = 0, 0
        while not self._stop.is_set():
            keys, last = self._runtime.read(lambda tx, after=after: outlived(tx, after=after, keep_us=self._keep_us))  # type: ignore[misc]
            for start in range(0, len(keys), SWEEP_CHUNK):
                removed += self._runtime.write(Remove(tuple(keys[start : start + SWEEP_CHUNK]), self._keep_us))
            if last is None:
                break
            after = last
        return removed
