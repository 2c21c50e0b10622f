"""The time, as something that is passed in. All times are integer microseconds since the epoch, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time. `pyqueue.testing.FakeClock` is one that only moves when told to."""

    def now_us(self) -> int: ...


class SystemClock:
    """The clock of the machine."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000


def to_datetime(us: int) -> datetime:
    """The aware UTC datetime of a stored time."""
    return _EPOCH + us * _MICROSECOND


def from_datetime(moment: datetime) -> int:
    """The stored form of an aware datetime (exact: no float on the way)."""
    return (moment - _EPOCH) // _MICROSECOND
