"""Errors as the wire format puts them: a status, and the envelope that every client knows."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from pyqueue.core.errors import PyQueueError, StorageBusy, StorageError
from pyqueue.web.request import JSON, NO_STORE, Reply

log = logging.getLogger(__name__)

# By code. What is not here is our own fault: 500.
STATUSES: Final[dict[str, int]] = {
    "VALIDATION_ERROR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "JOB_NOT_FOUND": 404,
    "SCHEDULE_NOT_FOUND": 404,
    "WEBHOOK_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "INVALID_STATE": 409,
    "LEASE_LOST": 409,
    "DUPLICATE_KEY": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "RATE_LIMITED": 429,
    "QUEUE_PAUSED": 503,
    "QUEUE_CLOSED": 503,
    "WEBHOOKS_DISABLED": 503,
}


class Refusal(Exception):
    """A request that gets no further than the door."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUSES[code] if status is None else status
        self.headers = headers


def reply_to(error: Refusal | PyQueueError) -> Reply:
    """The answer to a request that was refused or has failed."""
    if isinstance(error, Refusal):
        return envelope(error.status, error.code, str(error), error.headers)
    if isinstance(error, StorageError):
        log.error("the storage failed", extra={"code": error.code, "error": str(error)})
        # The message may name paths of this machine, which are for its log.
        status = 503 if isinstance(error, StorageBusy) else 500
        return envelope(status, "INTERNAL_ERROR", f"the storage failed ({error.code}); see the log of the server.")
    return envelope(STATUSES.get(error.code, 500), error.code, str(error))


def envelope(status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """An error with exactly the keys of the wire format."""
    body: dict[str, Any] = {"ok": False, "error": {"code": code, "message": message, "details": None}}
    return Reply(status, msgspec.json.encode(body), (JSON, NO_STORE, *headers))
