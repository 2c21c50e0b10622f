"""What was set for a queue beyond its jobs: limits, and a circuit breaker."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct

# The key of a limit that holds for each key by itself.
EACH_KEY: Final = "*"

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half-open"


class QueueLimit(Struct, frozen=True):
    """How many jobs of a queue may run at once (`concurrency`) or begin (`rate` per `per_ms`, at most `burst` at once).

    `key`: of the jobs with this `limit_key`; "*" of those of each key by itself; None of all jobs of the queue.
    `limits_pushes`: it is the pushes that are limited.
    """

    queue: str
    key: str | None
    concurrency: int | None
    rate: float | None
    per_ms: int | None
    burst: int | None
    limits_pushes: bool = False


class BreakerChange(Struct, frozen=True, kw_only=True):
    """The breaker of a queue has opened after `failures` failed runs in a row, the last of them with `error`."""

    queue: str
    failures: int
    open_until: datetime | None  # None: until somebody resumes the queue
    at: datetime
    error: str


class QueueBreaker(Struct, frozen=True):
    """Opens after `failures_max` failed runs in a row: nothing is handed out until `open_until` (None: until resumed).

    Then it is half-open: one run at a time is tried, and decides. `state` is closed, open or half-open.
    """

    failures_max: int
    cooldown_ms: int | None
    failures: int
    state: str
    open_until: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state == OPEN
