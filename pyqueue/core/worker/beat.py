"""Heartbeats: one thread for all jobs in hand, whatever their handlers are doing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from pyqueue.core.errors import PyQueueError, StorageError
from pyqueue.core.job import HeartbeatResult, Job
from pyqueue.core.worker.hand import Hand

log = logging.getLogger(__name__)


class Beater(Protocol):
    """The call of a queue that extends leases."""

    def heartbeat_many(self, jobs: list[Job], /, *, lease_ms: int) -> list[HeartbeatResult | PyQueueError]: ...


class Heart:
    """Extends the leases of all jobs in hand, three times per lease; tells `cancel` of runs to be stopped."""

    def __init__(self, queue: Beater, hand: Hand, lease_ms: int, cancel: Callable[[Job], None]) -> None:
        self._queue, self._hand, self._lease_ms, self._cancel = queue, hand, lease_ms, cancel
        self._told: set[tuple[int, int]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pyqueue-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._lease_ms / 3_000):
            jobs = self._hand.jobs()
            if not jobs:
                self._told.clear()
                continue
            try:
                results = self._queue.heartbeat_many(jobs, lease_ms=self._lease_ms)
            except StorageError as error:
                log.error("heartbeat failed; trying again", extra={"error": str(error), "jobs": len(jobs)})
                continue
            for job, result in zip(jobs, results, strict=True):
                self._tell(job, result)

    def _tell(self, job: Job, result: HeartbeatResult | PyQueueError) -> None:
        is_lost = isinstance(result, PyQueueError)
        run = (job.key, job.lease_token)
        if run in self._told or not (is_lost or result.cancel_requested):  # type: ignore[union-attr]  # it is no error
            return
        self._told.add(run)
        if is_lost:
            log.warning("lease lost while the job runs", extra={"job_id": job.id, "error": str(result)})
        self._cancel(job)
