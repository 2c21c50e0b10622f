"""When a schedule is due: cron expressions in a time zone, and intervals.

Where clocks are changed, a rule that names hours runs once for each local time it names: a time that is
skipped runs at the moment of the jump (several of them once), one that is repeated runs the first time.
A rule that leaves the hour open (`*/5 * * * *`, `30 * * * *`) follows elapsed time: it runs whenever the clock
shows a time it names, so also in both of two repeated hours, and a skipped time is made up for
only if the clock, put forward, does not show another one at that very moment.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pyqueue.core import limits
from pyqueue.core.clock import from_datetime, to_datetime
from pyqueue.core.errors import ValidationError
from pyqueue.core.validate import shown

if TYPE_CHECKING:
    from pyqueue.core.cron import Cron  # Read where an expression is: an import of pyqueue need not wait for it.

_SECOND_US: Final = 1_000_000


class Timetable(NamedTuple):
    """The moments at which something is due: those of a cron expression or of an interval, within bounds.

    `anchor_us`: the moment from which an interval is counted, so that it does not drift.
    """

    cron_expr: str | None
    every_ms: int | None
    timezone: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    anchor_us: int = 0

    def next_after(self, after_us: int) -> int | None:
        """The first moment later than `after_us`; None if there is none any more."""
        if self.start_us is not None:
            after_us = max(after_us, self.start_us - 1)
        if self.cron_expr is not None:
            from pyqueue.core.cron import parse

            moment_us = next_match(parse(self.cron_expr), zone_of(self.timezone), after_us)
        else:
            assert self.every_ms is not None
            every_us = max(self.every_ms, limits.EVERY_MS_FLOOR) * 1_000
            turns = (after_us - self.anchor_us) // every_us + 1
            first = 0 if self.start_us is not None else 1
            moment_us = self.anchor_us + max(turns, first) * every_us
        is_over = moment_us is None or (self.end_us is not None and moment_us > self.end_us)
        return None if is_over else moment_us

    def newest(self, after_us: int, until_us: int, count: int) -> list[int]:
        """The last `count` moments in (after_us, until_us], in order.

        Looks at ever longer pieces of the time before `until_us`, so that a year of missed minutes costs no more
        than the few that are wanted.
        """
        window_us = 60 * _SECOND_US
        while True:
            start_us = max(after_us, until_us - window_us)
            found: deque[int] = deque(maxlen=count)
            moment_us = self.next_after(start_us)
            while moment_us is not None and moment_us <= until_us:
                found.append(moment_us)
                moment_us = self.next_after(moment_us)
            if len(found) == count or start_us == after_us:
                return list(found)
            window_us *= 4


@lru_cache(maxsize=256)
def zone_of(name: str | None) -> tzinfo:
    """The IANA time zone of this name; UTC for None.

    Raises:
        ValidationError: there is none, with those that are spelled like it.
    """
    if name is None:
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # 5 ms, and many stay with UTC

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        from difflib import get_close_matches

        near = get_close_matches(str(name), available_timezones(), n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "On Windows the package tzdata has them."
        raise ValidationError(
            f"time zone {shown(name)}; expected an IANA name such as 'Europe/Zurich'. {hint}"
        ) from None


def next_match(rule: Cron, zone: tzinfo, after_us: int) -> int | None:
    """The first moment later than `after_us` at which the rule is due in the zone."""
    after = to_datetime(after_us).astimezone(zone)
    again_us = _in_second_pass(rule, zone, after) if rule.is_hourly else None
    local: datetime | None = after.replace(tzinfo=None, fold=0)
    while local is not None and (local := rule.next_local(local)) is not None:
        for moment_us in _moments_of(rule, zone, local):
            if moment_us > after_us:
                return moment_us if again_us is None else min(moment_us, again_us)
    return again_us


def _moments_of(rule: Cron, zone: tzinfo, local: datetime) -> tuple[int, ...]:
    """The moments at which a rule runs for a local time that it names."""
    before, after = _offsets(zone, local)
    first_us, second_us = _moment(local, before), _moment(local, after)
    if before == after:
        return (first_us,)
    if before > after:  # The clock is put back: it shows this time twice.
        return (first_us, second_us) if rule.is_hourly else (first_us,)
    if rule.is_hourly and rule.matches(local + (after - before)):
        return ()
    return (_jump(zone, second_us, first_us),)


def _in_second_pass(rule: Cron, zone: tzinfo, after: datetime) -> int | None:
    """The first match in a stretch that the clock is showing, and after it was put back will show again."""
    before, later = _offsets(zone, after.replace(tzinfo=None))
    if before <= later or after.fold:
        return None
    after_us = from_datetime(after)
    jump_us = _jump(zone, after_us, after_us + (before - later) // timedelta(microseconds=1))
    start = to_datetime(jump_us).astimezone(zone).replace(tzinfo=None, fold=0)
    local = rule.next_local(start - timedelta(seconds=1))
    if local is None or _offsets(zone, local) != (before, later):
        return None
    return _moment(local, later)


def _offsets(zone: tzinfo, local: datetime) -> tuple[timedelta, timedelta]:
    """The distance to UTC at a local time, as it was before and is after a change of the clock there."""
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None and second is not None
    return first, second


def _moment(local: datetime, offset: timedelta) -> int:
    return from_datetime(local.replace(tzinfo=timezone(offset)))


def _jump(zone: tzinfo, low_us: int, high_us: int) -> int:
    """The second in (low, high] at which the clock is changed."""

    def offset_at(second: int) -> timedelta | None:
        return to_datetime(second * _SECOND_US).astimezone(zone).utcoffset()

    low, high = low_us // _SECOND_US, high_us // _SECOND_US
    before = offset_at(low)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(middle) == before:
            low = middle
        else:
            high = middle
    return high * _SECOND_US
