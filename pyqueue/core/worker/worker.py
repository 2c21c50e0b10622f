"""A worker: claims jobs, runs a handler on them, and says what became of them."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, Protocol, TypedDict

from pyqueue._version import VERSION
from pyqueue.core import limits, validate
from pyqueue.core.clock import SystemClock
from pyqueue.core.errors import StorageError, ValidationError
from pyqueue.core.job import Job
from pyqueue.core.presence import Presence
from pyqueue.core.schedule import ScheduleSync
from pyqueue.core.worker.beat import Beater, Heart
from pyqueue.core.worker.claim import Claiming, Pace, Source, give_back
from pyqueue.core.worker.finish import Finisher, Finishing, Tally
from pyqueue.core.worker.hand import Hand
from pyqueue.core.worker.run import EitherHandler, Handler, Outcome, mode_of, runner_for
from pyqueue.core.worker.stop import on_signals

log = logging.getLogger(__name__)

CONCURRENCY_MAX: Final = 10_000
GRACE_MS_DEFAULT: Final = 30_000
PREFETCH_MS_DEFAULT: Final = 50

_STOP, _DONE = "stop", "done"
# Windows does not interrupt a wait for a signal: look this often.
_SIGNAL_CHECK_SECONDS: Final = 0.5


class WorkerQueue(Source, Finisher, Beater, Protocol):
    """What a worker needs of a queue."""

    def start_housekeeping(self) -> None: ...

    def sync_schedules(self) -> ScheduleSync: ...


class WorkerOptions(TypedDict, total=False):
    """How a worker works. Times in milliseconds."""

    concurrency: int  # jobs that run at the same time; default 1
    lease_ms: int | None  # how long a job is this worker's without a heartbeat; None: as the handle says
    burst: bool  # end when nothing is ready
    name: str | None  # what people call it; the first part of its id, whose rest is random
    grace_ms: int  # how long running jobs may go on after a stop; default 30,000
    prefetch_ms: int  # how long a claimed job may wait here while another worker might be idle; default 50


class WorkerReport(NamedTuple):
    """What a worker has done: runs completed, failed, given back, and outcomes that came too late."""

    worker_id: str
    completed: int
    failed: int
    released: int
    lost: int


class Worker:
    """Runs `handler` on the jobs of `queues` until it is stopped. `run` may be called once."""

    def __init__(
        self,
        queue: WorkerQueue,
        queues: Sequence[str],
        handler: Handler | EitherHandler,
        *,
        tasks: Sequence[str] = (),
        concurrency: int = 1,
        lease_ms: int | None = None,
        burst: bool = False,
        name: str | None = None,
        grace_ms: int = GRACE_MS_DEFAULT,
        prefetch_ms: int = PREFETCH_MS_DEFAULT,
    ) -> None:
        if not callable(handler) and not isinstance(handler, EitherHandler):
            raise ValidationError(f"handler {validate.shown(handler)}; expected a function that takes a Job.")
        validate.integer(concurrency, "concurrency", 1, CONCURRENCY_MAX)
        validate.integer(grace_ms, "grace_ms", 0, limits.DURATION_MS_MAX)
        validate.integer(prefetch_ms, "prefetch_ms", 0, 60_000)
        if name is not None:
            validate.text(name, "name", limits.WORKER_NAME_BYTES_MAX)
        # Random, never only a name: a container that comes back under its old name is another worker.
        self.worker_id = f"{name or 'worker'}-{secrets.token_hex(6)}"
        lease_ms = limits.LEASE_MS_DEFAULT if lease_ms is None else lease_ms
        self._queue = queue
        self._queues = tuple(queues)
        self._grace_seconds = grace_ms / 1_000
        self._orders: SimpleQueue[str] = SimpleQueue()
        self._hand = Hand()
        self._tally = Tally()
        self._pace = Pace(concurrency, prefetch_ms)
        self._finishing = Finishing(queue, self._hand, self._tally)
        self._is_stopping = False
        self._has_tasks = bool(tasks)
        self._runner = runner_for(handler, concurrency, self._begin, self._end)
        presence = _presence(self.worker_id, name, mode_of(handler), concurrency, self._queues, tasks)
        self._heart = Heart(queue, presence, self._hand, lease_ms, self._runner.cancel)
        self._claiming = Claiming(
            queue,
            self._queues,
            self._hand,
            self._pace,
            self._runner.submit,
            concurrency=concurrency,
            lease_ms=lease_ms,
            worker_id=self.worker_id,
            is_burst=burst,
            is_stopping=lambda: self._is_stopping,
            prefetch_ms=prefetch_ms,
        )

    def run(self) -> WorkerReport:
        """Works until SIGTERM or SIGINT, `stop`, or with `burst` until nothing is ready."""
        log.info("worker started", extra={"worker_id": self.worker_id, "queues": self._queues})
        with on_signals(self.stop):
            self._heart.start()
            self._sync_schedules()
            self._queue.start_housekeeping()
            self._claiming.start(when_done=lambda: self._orders.put(_DONE))
            self._wait_for_order()
            is_at_once = not self._wind_down()
        self._end_all(is_at_once=is_at_once)
        report = WorkerReport(
            self.worker_id, self._tally.completed, self._tally.failed, self._tally.released, self._tally.lost
        )
        log.info("worker stopped", extra=report._asdict())
        return report

    def stop(self) -> None:
        """Asks for the end: the first time after what runs, the second time at once. From anywhere, also a signal."""
        # A plain attribute and a SimpleQueue: a signal handler may run between any two instructions, so no locks.
        self._is_stopping = True
        self._orders.put(_STOP)

    def _sync_schedules(self) -> None:
        """Stores the schedules of the tasks; trouble of the database is waited out, as everywhere in a worker."""
        while self._has_tasks and not self._is_stopping:
            try:
                sync = self._queue.sync_schedules()
            except StorageError as error:
                log.error("cannot store the schedules of the tasks; trying again", extra={"error": str(error)})
                time.sleep(_SIGNAL_CHECK_SECONDS)
                continue
            for name in sync.kept_by_hand:
                log.warning("a schedule of this name was made by hand, and stays as it is", extra={"schedule": name})
            return

    def _wait_for_order(self) -> None:
        while True:
            try:
                self._orders.get(timeout=_SIGNAL_CHECK_SECONDS)
            except Empty:
                continue
            return

    def _wind_down(self) -> bool:
        """Claims no more and waits for what runs; False if it has to be left behind."""
        self._claiming.stop()
        deadline = time.monotonic() + self._grace_seconds
        while True:
            self._return(self._hand.take_back())
            if self._hand.wait_until_empty(0.05):
                return True
            if time.monotonic() >= deadline or self._is_stopped_again():
                return False

    def _is_stopped_again(self) -> bool:
        try:
            return self._orders.get_nowait() == _STOP
        except Empty:
            return False

    def _end_all(self, *, is_at_once: bool) -> None:
        self._claiming.join()
        self._return(self._hand.take_back())
        self._runner.stop(is_at_once=is_at_once)
        self._finishing.stop(is_at_once=is_at_once)
        self._return(self._hand.running())  # Threads that could not be stopped: their late outcome is refused.
        self._heart.stop()

    def _return(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._tally.released += give_back(self._queue, job)
            self._hand.settle([job])

    def _begin(self, job: Job) -> bool:
        return not self._is_stopping and self._hand.start(job)

    def _end(self, outcome: Outcome) -> None:
        self._pace.note(outcome.seconds)
        self._finishing.put(outcome)


def _presence(
    worker_id: str, name: str | None, mode: str, concurrency: int, queues: Sequence[str], tasks: Sequence[str]
) -> Presence:
    return Presence(
        id=worker_id,
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=VERSION,
        mode=mode,
        concurrency=concurrency,
        queues=tuple(queues),
        tasks=tuple(tasks),
        started_us=SystemClock().now_us(),
    )
