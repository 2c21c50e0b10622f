"""Telling webhooks what has happened: from the log of events to jobs that deliver, and those to their targets.

Every server on a database does this. They read the same log, and whoever is first moves the position on and pushes
the deliveries in one transaction: each event becomes one delivery for each webhook, whatever is killed when.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

from pyqueue.core import webhook
from pyqueue.core.errors import PyQueueError, QueueClosed
from pyqueue.core.job import EventPage, JobChange
from pyqueue.core.queue import PyQueue
from pyqueue.core.shapes import moment_text
from pyqueue.core.webhook import Webhook
from pyqueue.core.worker.worker import Worker
from pyqueue.server.courier import Courier
from pyqueue.server.settings import Webhooks
from pyqueue.web.stream import stream_name

log = logging.getLogger(__name__)

# Rows of the log in one go: each may be a batch of a thousand jobs. Where that makes more deliveries than are pushed
# in one transaction, it goes on row by row.
_PAGE_ROWS: Final = 32
_DELIVERIES_MAX: Final = 2_000
_LOOK_MS: Final = 1_000
# The position is written down so often although nothing was to be told, so that a restart need not go far back.
_BEHIND_MAX: Final = 1_000
_AFTER_ERROR_SECONDS: Final = 1.0
# A job that delivers has a limit of its own, beyond that of the request, for names that are not looked up in time.
_JOB_TIMEOUTS: Final = 4


class Herald:
    """The webhooks of one server: a thread that reads the log, and a worker that delivers."""

    def __init__(self, queue: PyQueue, settings: Webhooks) -> None:
        self._queue = queue
        self._options = {
            "max_attempts": 1 + settings.max_retries,
            "backoff_delay_ms": settings.retry_base_delay_ms,
            "timeout_ms": settings.delivery_timeout_ms * _JOB_TIMEOUTS,
        }
        self._over = threading.Event()
        self._courier = Courier(queue, settings)
        self._concurrency = settings.concurrency
        self._worker = self._new_worker()
        self._threads = [
            threading.Thread(target=self._tell, name="pyqueue-webhooks", daemon=True),
            threading.Thread(target=self._deliver, name="pyqueue-deliveries", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Asks for the end; deliveries under way are finished."""
        self._over.set()
        self._worker.stop()

    def join(self) -> None:
        """Waits for the end."""
        for thread in self._threads:
            thread.join()

    def _new_worker(self) -> Worker:
        return self._queue.worker(webhook.QUEUE, self._courier, concurrency=self._concurrency, name="webhooks")

    def _deliver(self) -> None:
        while not self._over.is_set():
            try:
                self._worker.run()
                return
            except QueueClosed:
                return
            except PyQueueError as error:
                self._worker = self._new_worker()
                log.error("webhooks cannot be delivered; trying again", extra={"error": str(error)})
                self._over.wait(_AFTER_ERROR_SECONDS)

    def _tell(self) -> None:
        reader = _Reader(self._queue, self._options)
        while not self._over.is_set():
            try:
                if not reader.go_on():
                    self._over.wait(_LOOK_MS / 1_000)
            except QueueClosed:
                return
            except PyQueueError as error:
                log.error("webhooks were not told; trying again", extra={"error": str(error)})
                reader.go_back()
                self._over.wait(_AFTER_ERROR_SECONDS)


class _Reader:
    """Reads the log, and hands over what is to be delivered."""

    def __init__(self, queue: PyQueue, options: dict[str, Any]) -> None:
        self._queue = queue
        self._options = options
        self._position: int | None = None  # read so far; None: to be looked up
        self._rows = _PAGE_ROWS

    def go_back(self) -> None:
        """Begins again where the database says."""
        self._position = None

    def go_on(self) -> bool:
        """One page of the log, waited for; False if there is nobody to be told."""
        registered = self._queue.registered()
        if not any(each.is_active for each in registered.webhooks):
            self._position = None
            return False
        begin = max(registered.handed_to, min(each.since for each in registered.webhooks if each.is_active))
        position = begin if self._position is None else max(begin, self._position)
        page = self._queue.events(position, limit=self._rows, wait_ms=_LOOK_MS)
        if page.has_gap:
            log.warning("webhooks are behind the log: some events are not told", extra={"position": position})
        # Looked at again: who was registered before an event happened is told of it.
        registered = self._queue.registered()
        deliveries = self._deliveries(page, registered.webhooks)
        if len(deliveries) > _DELIVERIES_MAX and self._rows > 1:
            self._rows = 1
            return True
        self._rows = min(2 * self._rows, _PAGE_ROWS)
        is_known = not deliveries and page.position - registered.handed_to < _BEHIND_MAX
        if is_known or self._hand_over(registered.handed_to, position, page.position, deliveries):
            self._position = page.position
        else:
            self.go_back()
        return True

    def _hand_over(self, handed_to: int, begun: int, ended: int, deliveries: Sequence[dict[str, Any]]) -> bool:
        """False if another server was faster. What lies between `handed_to` and `begun` was of no interest."""
        return handed_to <= begun and self._queue.hand_over(handed_to, ended, deliveries)

    def _deliveries(self, page: EventPage, webhooks: Sequence[Webhook]) -> list[dict[str, Any]]:
        return [
            {"data": _data(each, name, change), "tags": [each.id], **self._options}
            for change in page.changes
            if change.queue != webhook.QUEUE
            for name in _names(change)
            for each in webhooks
            if each.is_active and (change.position or 0) > each.since and each.wants(_snake(name), change.queue)
        ]


def _names(change: JobChange) -> tuple[str, ...]:
    """What the change is called: a dead letter has two names, for those who ask for the one or the other."""
    name = stream_name(change)
    return (name, "job.dlq") if name == "job.failed" else (name,)


def _snake(name: str) -> str:
    return name.replace(".", "_")


def _data(each: Webhook, name: str, change: JobChange) -> dict[str, Any]:
    return {
        "webhook_id": each.id,
        "event": name,
        "job_id": change.job_id,
        "queue": change.queue,
        "timestamp": moment_text(change.at),
    }
