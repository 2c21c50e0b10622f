"""A worker: claims jobs, runs a handler on them, and says what became of them."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, Protocol

from pyqueue._version import VERSION
from pyqueue.core.clock import SystemClock
from pyqueue.core.errors import StorageError
from pyqueue.core.job import Job
from pyqueue.core.presence import Presence
from pyqueue.core.schedule import ScheduleSync
from pyqueue.core.worker.beat import Beater, Heart
from pyqueue.core.worker.claim import Claiming, Pace, Source, give_back
from pyqueue.core.worker.finish import Finisher, Finishing, Tally
from pyqueue.core.worker.hand import Hand
from pyqueue.core.worker.memory import resident_mb
from pyqueue.core.worker.options import Settings
from pyqueue.core.worker.outcome import Outcome, Stopped, TimedOut
from pyqueue.core.worker.pipe import Work
from pyqueue.core.worker.processes import ProcessRunner, Recycling
from pyqueue.core.worker.run import EitherHandler, Handler, Runner, modes_of, runner_for
from pyqueue.core.worker.stop import on_signals
from pyqueue.core.worker.timeouts import Timeouts
from pyqueue.core.worker.turns import Turns

log = logging.getLogger(__name__)

_STOP, _DONE = "stop", "done"
# Windows does not interrupt a wait for a signal: look this often. Memory is looked at as often.
_LOOK_SECONDS: Final = 0.5


class WorkerQueue(Source, Finisher, Beater, Protocol):
    """What a worker needs of a queue."""

    def start_housekeeping(self) -> None: ...

    def sync_schedules(self) -> ScheduleSync: ...


class WorkerReport(NamedTuple):
    """What a worker has done: runs completed, failed, given back, and outcomes that came too late."""

    worker_id: str
    completed: int
    failed: int
    released: int
    lost: int


class Worker:
    """Runs a handler on jobs until it is stopped: what `PyQueue.worker` gives. `run` may be called once.

    `work`: for child processes, what they are to run in place of the handler.
    """

    def __init__(
        self,
        queue: WorkerQueue,
        turns: Turns,
        handler: Handler | EitherHandler,
        settings: Settings,
        *,
        tasks: Sequence[str] = (),
        work: Work | None = None,
    ) -> None:
        self._queue, self._settings = queue, settings
        # Random, never only a name: a container that comes back under its old name is another worker.
        self.worker_id = f"{settings.name or 'worker'}-{secrets.token_hex(6)}"
        mode = "+".join(modes_of(handler, settings.mode))
        self.queues_text = str(turns)
        self.presence = _presence(self.worker_id, settings, mode, turns.queues, tasks)
        self._orders: SimpleQueue[str] = SimpleQueue()
        self._is_stopping = False
        self._hand = Hand()
        self._tally = Tally()
        self._pace = Pace(settings.concurrency, settings.prefetch_ms)
        self._fault: BaseException | None = None
        self._finishing = Finishing(queue, self._hand, self._tally, self._end_by_fault)
        self._runner = self._runner_of(handler, work)
        self._timeouts = Timeouts(self._hand, self._expire, self._end_by_fault)
        self._heart = Heart(
            queue, self.presence, self._hand, settings.lease_ms, self._runner.cancel, self._end_by_fault
        )
        self._claiming = Claiming(
            queue, turns, self._hand, self._pace, self._runner.submit, settings, self.worker_id,
            is_stopping=lambda: self._is_stopping, on_fault=self._end_by_fault,
        )  # fmt: skip

    def _runner_of(self, handler: Handler | EitherHandler, work: Work | None) -> Runner:
        settings = self._settings
        if work is None:
            return runner_for(handler, settings.concurrency, self._begin, self._end)
        recycling = Recycling(settings.max_jobs_per_child, settings.max_memory_mb)
        return ProcessRunner(work, settings.concurrency, recycling, self._begin, self._end)

    def run(self) -> WorkerReport:
        """Works until SIGTERM or SIGINT, `stop`, or one of the ends that its options set.

        Raises:
            ConfigError: child processes cannot import what they are to run.
            StorageError: the database cannot be used. Later trouble with it is waited out.
            Exception: what ended a thread of the worker, which nobody expected; jobs have been given back.
        """
        log.info("worker started", extra={"worker_id": self.worker_id, "queues": self.presence.queues})
        with on_signals(self.stop):
            self._runner.start()
            try:
                self._heart.start()
            except StorageError:
                self._runner.stop(is_at_once=True)
                raise
            self._finishing.start()
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
        if self._fault is not None:
            raise self._fault
        return report

    def stop(self) -> None:
        """Asks for the end: the first time after what runs, the second time at once. From anywhere, also a signal."""
        # A plain attribute and a SimpleQueue: a signal handler may run between any two instructions, so no locks.
        self._is_stopping = True
        self._orders.put(_STOP)

    def _end_by_fault(self, error: BaseException) -> None:
        self._fault = self._fault or error
        self.stop()

    def _sync_schedules(self) -> None:
        """Stores the schedules of the tasks; trouble of the database is waited out, as everywhere in a worker."""
        while self.presence.tasks and not self._is_stopping:
            try:
                sync = self._queue.sync_schedules()
            except StorageError as error:
                log.error("cannot store the schedules of the tasks; trying again", extra={"error": str(error)})
                time.sleep(_LOOK_SECONDS)
                continue
            for name in sync.kept_by_hand:
                log.warning("a schedule of this name was made by hand, and stays as it is", extra={"schedule": name})
            return

    def _wait_for_order(self) -> None:
        while True:
            try:
                self._orders.get(timeout=_LOOK_SECONDS)
            except Empty:
                if not self._has_grown_too_large():
                    continue
            return

    def _has_grown_too_large(self) -> bool:
        """Whether this process holds more memory than it may; in process mode that is asked of the children."""
        limit_mb = self._settings.max_memory_mb
        if limit_mb is None or self._settings.mode == "process":
            return False
        held_mb = resident_mb() or 0.0
        if held_mb > limit_mb:
            log.warning("the worker ends: it holds too much memory", extra={"held_mb": held_mb, "max_mb": limit_mb})
        return held_mb > limit_mb

    def _wind_down(self) -> bool:
        """Claims no more and waits for what runs; False if it has to be left behind."""
        self._is_stopping = True
        self._claiming.stop()
        deadline = time.monotonic() + self._settings.grace_ms / 1_000
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
        self._timeouts.stop()
        self._runner.stop(is_at_once=is_at_once)
        self._finishing.stop(is_at_once=is_at_once)
        self._return(self._hand.let_go())  # Threads that could not be stopped: their late outcome is refused.
        self._heart.stop()

    def _return(self, jobs: Sequence[Job]) -> None:
        if jobs:
            self._tally.released += give_back(self._queue, self._hand, jobs)

    # --- called by the runner and the timeouts, on their threads ---------------------------------

    def _begin(self, job: Job) -> bool:
        if self._is_stopping or not self._hand.start(job):
            return False
        if job.timeout_ms is not None:
            self._timeouts.note(job)
        return True

    def _end(self, outcome: Outcome) -> None:
        self._pace.note(outcome.seconds)
        if self._hand.finish(outcome.job):
            self._finishing.put(outcome)
        elif not isinstance(outcome.end, Stopped):
            log.warning("the outcome of a job came too late", extra={"job_id": outcome.job.id})

    def _expire(self, job: Job) -> None:
        """Takes the lease of a run away whose time is up, and stops it as far as that can be done."""
        if self._hand.finish(job):
            self._finishing.put(Outcome(job, TimedOut(), (job.timeout_ms or 0) / 1_000))
            self._runner.abandon(job)


def _presence(worker_id: str, settings: Settings, mode: str, queues: Sequence[str], tasks: Sequence[str]) -> Presence:
    return Presence(
        id=worker_id,
        name=settings.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=VERSION,
        mode=mode,
        concurrency=settings.concurrency,
        queues=tuple(queues),
        tasks=tuple(tasks),
        started_us=SystemClock().now_us(),
    )
