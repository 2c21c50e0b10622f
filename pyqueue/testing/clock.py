"""A clock that tests move."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyqueue.core.clock import from_datetime, to_datetime
from pyqueue.core.errors import ValidationError

_START = datetime.fromisoformat("2030-01-01T00:00:00+00:00")


class FakeClock:
    """A clock that moves only when told to. Pass it as `PyQueue(..., clock=clock)`."""

    def __init__(self, start: datetime = _START) -> None:
        self._now_us = from_datetime(start)

    def now_us(self) -> int:
        return self._now_us

    @property
    def now(self) -> datetime:
        """The moment it shows: aware, UTC."""
        return to_datetime(self._now_us)

    def advance(self, *, ms: int = 0, seconds: float = 0) -> None:
        """Moves on (or, with negative values, back)."""
        step = timedelta(milliseconds=ms, seconds=seconds)
        if not step:
            raise ValidationError("advance() got neither ms nor seconds; expected one of them.")
        self._now_us += step // timedelta(microseconds=1)

    def advance_to(self, moment: datetime) -> None:
        """Moves on to a moment (aware); one that is past already changes nothing."""
        self._now_us = max(self._now_us, from_datetime(moment))
