"""Claiming: as many jobs as can be started soon, in one go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from pyqueue.core.errors import StateError, StorageError
from pyqueue.core.job import Job
from pyqueue.core.worker import faults
from pyqueue.core.worker.faults import OnFault
from pyqueue.core.worker.hand import Hand
from pyqueue.core.worker.options import Settings
from pyqueue.core.worker.turns import Turns

log = logging.getLogger(__name__)

_PREFETCH_MAX: Final = 400
_UNCOMMITTED_MAX: Final = 1_000
_LOOK_SECONDS: Final = 0.05
# A runner needs a moment to begin what it is given.
_OVERDUE_SECONDS_MIN: Final = 0.1
_AFTER_ERROR_SECONDS: Final = 0.5


class Source(Protocol):
    """The calls of a queue that claim and give back."""

    def pull_until(
        self,
        is_over: Callable[[], bool],
        queues: Sequence[str],
        /,
        *,
        count: int,
        wait_ms: float,
        lease_ms: int,
        worker_id: str,
        looks_first: bool,
    ) -> list[Job]: ...

    def wake_pulls(self) -> None: ...

    def release(self, job: Job, /, *, delay_ms: int = 0) -> None: ...


class Pace:
    """How long jobs take, as a moving average; says how many may be claimed ahead.

    A job claimed ahead could be run by another worker that is idle. So only as many are held
    ready as will start within `prefetch_ms` at the present pace.
    """

    def __init__(self, concurrency: int, prefetch_ms: int) -> None:
        self._concurrency = concurrency
        self._prefetch_seconds = prefetch_ms / 1_000
        self._seconds: float | None = None

    def note(self, seconds: float) -> None:
        """A job has taken so long. A slow one counts at once, a quick one bit by bit."""
        if self._seconds is None or seconds > self._seconds:
            self._seconds = seconds
        else:
            self._seconds += (seconds - self._seconds) * 0.1

    def forget(self) -> None:
        """What runs now takes longer than anything before: hold nothing ready until it is known how long."""
        self._seconds = None

    def prefetch(self) -> int:
        if self._seconds is None:
            return 0
        return min(_PREFETCH_MAX, int(self._concurrency * self._prefetch_seconds / max(self._seconds, 1e-6)))


class Claiming:
    """A thread that keeps the runner supplied."""

    def __init__(
        self,
        source: Source,
        turns: Turns,
        hand: Hand,
        pace: Pace,
        submit: Callable[[list[Job]], None],
        settings: Settings,
        worker_id: str,
        *,
        is_stopping: Callable[[], bool],
        on_fault: OnFault,
    ) -> None:
        self._source, self._turns, self._hand, self._pace, self._submit = source, turns, hand, pace, submit
        self._concurrency, self._lease_ms, self._worker_id = settings.concurrency, settings.lease_ms, worker_id
        self._is_burst, self._prefetch_seconds = settings.burst, settings.prefetch_ms / 1_000
        self._jobs_left = float("inf") if settings.max_jobs is None else settings.max_jobs
        self._is_stopping, self._on_fault = is_stopping, on_fault
        self._has_emptied = False  # The last claim got less than it wanted.
        self._stop = threading.Event()

    def start(self, when_done: Callable[[], None]) -> None:
        """Starts the thread; `when_done` is called when a burst is over, or all jobs that were to be done are."""
        self._thread = faults.thread("pyqueue-claim", lambda: self._claim(when_done), self._on_fault)
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to claim no more; `join` waits for it."""
        self._stop.set()
        self._hand.notify()
        self._source.wake_pulls()

    def join(self) -> None:
        self._thread.join()

    def _claim(self, when_done: Callable[[], None]) -> None:
        while not (self._stop.is_set() or self._is_stopping()):
            self._give_back_overdue()
            wanted = self._wanted()
            if wanted <= 0:
                self._hand.wait_for_room(self._low_water(), max(self._prefetch_seconds, _LOOK_SECONDS))
                continue
            # Looked at before the pull: a failed job may be ready again the moment it leaves the hand.
            was_empty = self._hand.is_empty()
            jobs = self._pull(wanted) if self._jobs_left else []
            if jobs:
                self._jobs_left -= len(jobs)
                self._turns.note([job.queue for job in jobs])
                self._hand.take(jobs)
                self._submit(jobs)
            elif was_empty and (self._is_burst or not self._jobs_left):
                when_done()
                return
            elif self._is_burst or not self._jobs_left:
                self._hand.wait_for_room(-1, _LOOK_SECONDS)

    def _wanted(self) -> int:
        ready, running, finishing = self._hand.counts()
        # Top up when half of the stock is used, so that claims come in batches.
        if ready + running > self._low_water() or finishing >= _UNCOMMITTED_MAX:
            return 0
        return self._concurrency + self._pace.prefetch() - ready - running

    def _low_water(self) -> int:
        """How many jobs ready or running are few enough to claim more."""
        prefetch = self._pace.prefetch()
        return self._concurrency + (prefetch // 2 if prefetch else -1)

    def _pull(self, wanted: int) -> list[Job]:
        count = int(min(wanted, self._jobs_left))
        try:
            jobs = self._source.pull_until(
                lambda: self._is_burst or self._stop.is_set(),
                self._turns.order(),
                count=count,
                wait_ms=self._wait_ms(),
                lease_ms=self._lease_ms,
                worker_id=self._worker_id,
                looks_first=self._has_emptied and not self._is_burst,
            )
        except StorageError as error:
            log.error("cannot claim jobs; trying again", extra={"error": str(error)})
            self._stop.wait(_AFTER_ERROR_SECONDS)
            return []
        self._has_emptied = len(jobs) < count
        return jobs

    def _wait_ms(self) -> float:
        """For ever with nothing ready; else not so long that ready jobs become overdue unnoticed."""
        return max(self._prefetch_seconds, _LOOK_SECONDS) * 1_000 if self._hand.counts()[0] else float("inf")

    def _give_back_overdue(self) -> None:
        """Jobs that wait here behind a slow one, while another worker may be idle."""
        overdue = self._hand.take_back(older_than_seconds=max(2 * self._prefetch_seconds, _OVERDUE_SECONDS_MIN))
        if overdue:
            self._pace.forget()
        self._jobs_left += give_back(self._source, self._hand, overdue)


def give_back(source: Source, hand: Hand, jobs: Sequence[Job]) -> int:
    """Releases jobs that were taken out of the hand; gives how many.

    While the database is away they go back into the hand: their leases are kept alive, and they are run, or
    taken out again.
    """
    released = 0
    for number, job in enumerate(jobs):
        try:
            source.release(job)
            released += 1
        except StateError as error:
            log.warning("could not give a job back", extra={"job_id": job.id, "error": str(error)})
        except StorageError as error:
            log.error("cannot give jobs back; trying again", extra={"error": str(error)})
            hand.take(list(jobs[number:]))
            break
    return released
