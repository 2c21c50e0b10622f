"""Heartbeats: one thread for all jobs in hand, whatever their handlers are doing, and for the worker itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pyqueue.core.errors import PyQueueError, StorageError
from pyqueue.core.job import HeartbeatResult, Job
from pyqueue.core.presence import PRESENCE_SECONDS, Presence
from pyqueue.core.worker import faults
from pyqueue.core.worker.faults import OnFault
from pyqueue.core.worker.hand import Hand

log = logging.getLogger(__name__)


class Beater(Protocol):
    """The calls of a queue that keep leases and a worker known to live."""

    def beat(
        self, jobs: Sequence[Job], /, *, lease_ms: int, presence: Presence | None
    ) -> list[HeartbeatResult | PyQueueError]: ...

    def leave(self, worker_id: str, /) -> None: ...


class Heart:
    """Extends the leases of all jobs in hand, three times per lease; tells `cancel` of runs to be stopped.

    Every ten seconds it also says that the worker is there, in the same transaction.
    """

    def __init__(
        self,
        queue: Beater,
        presence: Presence,
        hand: Hand,
        lease_ms: int,
        cancel: Callable[[Job], None],
        on_fault: OnFault,
    ) -> None:
        self._queue, self._presence, self._hand, self._cancel = queue, presence, hand, cancel
        self._lease_ms = lease_ms
        self._told: set[tuple[int, int]] = set()
        self._present_at = 0.0
        self._stop = threading.Event()
        self._thread = faults.thread("pyqueue-heartbeat", self._beat, on_fault)

    def start(self) -> None:
        """Puts the worker on the list of those that live, and starts the thread.

        Raises:
            StorageError: the database cannot be used.
        """
        self._queue.beat([], lease_ms=self._lease_ms, presence=self._presence)
        self._present_at = time.monotonic() + PRESENCE_SECONDS
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and takes the worker off the list of those that live."""
        self._stop.set()
        self._thread.join()
        try:
            self._queue.leave(self._presence.id)
        except StorageError as error:
            log.debug("the worker was not signed off; that ends by itself", extra={"error": str(error)})

    def _beat(self) -> None:
        while not self._stop.wait(min(self._lease_ms / 3_000, PRESENCE_SECONDS)):
            self._beat_once()

    def _beat_once(self) -> None:
        jobs = self._hand.jobs()
        now = time.monotonic()
        is_time = now >= self._present_at
        if not jobs:
            self._told.clear()
        if not (jobs or is_time):
            return
        try:
            results = self._queue.beat(jobs, lease_ms=self._lease_ms, presence=self._presence if is_time else None)
        except StorageError as error:
            log.error("heartbeat failed; trying again", extra={"error": str(error), "jobs": len(jobs)})
            return
        if is_time:
            self._present_at = now + PRESENCE_SECONDS
        for job, result in zip(jobs, results, strict=True):
            self._tell(job, result)

    def _tell(self, job: Job, result: HeartbeatResult | PyQueueError) -> None:
        is_lost = isinstance(result, PyQueueError)
        run = (job.key, job.lease_token)
        if run in self._told or not (is_lost or result.cancel_requested):  # type: ignore[union-attr]  # it is no error
            return
        if not self._hand.is_running(job):
            return  # There is nothing to stop yet: it will be told when it runs.
        self._told.add(run)
        if is_lost:
            log.warning("lease lost while the job runs", extra={"job_id": job.id, "error": str(result)})
        self._cancel(job)
