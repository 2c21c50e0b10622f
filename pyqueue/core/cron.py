"""Cron expressions: which local times one names. What that means in a time zone is said in `core.timetable`.

The dialect is that of croner 2.2 (the wire format's): minute, hour, day of month, month, day of week, and
before them, if wanted, seconds.

* each field: `*`, numbers, ranges `1-5`, steps `*/5`, `10-30/5` and `10/5` (from 10 on), lists of these
* names `JAN`–`DEC`, `SUN`–`SAT`; Sunday is 0 and 7; upper and lower case are the same
* days of the month: `?` (as `*`), `L` (the last), `15W` (the weekday nearest to the 15th, within the month), `LW`
* days of the week: `?` (as `*`), `FRI#2` (the second Friday), `5L` or `FRI#L` (the last Friday)
* `@yearly @annually @monthly @weekly @daily @midnight @hourly`

If both day fields are restricted, either of them may match. A field that is exactly `*` or `?` is not restricted.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from pyqueue.core.errors import ValidationError
from pyqueue.core.validate import shown

EXPRESSION_LENGTH_MAX: Final = 256

# A 29 February comes within 8 years, one that is a Monday within 40.
_YEARS_AHEAD: Final = 41
_SECOND: Final = timedelta(seconds=1)

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NICKNAMES: Final = {
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
    "@MONTHLY": "0 0 1 * *",
    "@WEEKLY": "0 0 * * 0",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@HOURLY": "0 * * * *",
}


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of `low`, and on


_SECOND_FIELD: Final = _Field("second", 0, 59)
_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day of month", 1, 31)
_MONTH: Final = _Field("month", 1, 12, _MONTHS)
_WEEKDAY: Final = _Field("day of week", 0, 7, _WEEKDAYS)

_ITEM: Final = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,4}))?")
_NEAR: Final = re.compile(r"(?P<day>\d{1,2}|L)W")
_NTH: Final = re.compile(r"(?P<day>\w+)#(?P<nth>[1-5L])")
_LAST_OF: Final = re.compile(r"(?P<day>[0-7]|[A-Z]{3})L")

_LAST: Final = 0  # "the last", where days and weeks are counted from 1


class Cron(NamedTuple):
    """A parsed expression."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None  # of the month, 0 for the last; None: unrestricted
    near: frozenset[int]  # the weekday nearest to these days
    months: frozenset[int]
    weekdays: frozenset[int] | None  # Sunday is 0; None: unrestricted
    nth: frozenset[tuple[int, int]]  # (day of the week, which of them in the month; 0 for the last)
    has_seconds: bool

    @property
    def is_hourly(self) -> bool:
        """Whether it leaves the hour open: such a rule follows elapsed time where clocks are changed."""
        return len(self.hours) == 24

    def matches(self, local: datetime) -> bool:
        return (
            local.second in self.seconds
            and local.minute in self.minutes
            and local.hour in self.hours
            and local.month in self.months
            and local.day in self._days_of(local.year, local.month)
        )

    def next_local(self, after: datetime) -> datetime | None:
        """The first local time it names that is later than `after`; None if none comes in forty years."""
        try:
            start = after.replace(microsecond=0) + _SECOND
        except OverflowError:
            return None
        for year, month in _months_from(start):
            if month not in self.months:
                continue
            for day in self._days_of(year, month):
                if date(year, month, day) > start.date():
                    return datetime(year, month, day, self.hours[0], self.minutes[0], self.seconds[0])
                time = self._time_from(start) if date(year, month, day) == start.date() else None
                if time is not None:
                    return datetime(year, month, day, *time)
        return None

    def _time_from(self, start: datetime) -> tuple[int, int, int] | None:
        """The first time of the day that is not before that of `start`."""
        for hour in self.hours[bisect_left(self.hours, start.hour) :]:
            if hour > start.hour:
                return hour, self.minutes[0], self.seconds[0]
            for minute in self.minutes[bisect_left(self.minutes, start.minute) :]:
                if minute > start.minute:
                    return hour, minute, self.seconds[0]
                for second in self.seconds[bisect_left(self.seconds, start.second) :]:
                    return hour, minute, second
        return None

    def _days_of(self, year: int, month: int) -> list[int]:
        """The days of a month that it names, in order."""
        first_weekday, length = monthrange(year, month)
        if self.days is None and self.weekdays is None:
            return list(range(1, length + 1))
        found: set[int] = set()
        if self.days is not None:
            found |= {day or length for day in self.days} | {
                _nearest_weekday(year, month, day or length, length) for day in self.near if day <= length
            }
        if self.weekdays is not None:
            for day in range(1, length + 1):
                weekday, nth = (first_weekday + day) % 7, (day + 6) // 7
                is_last = day + 7 > length
                if weekday in self.weekdays or (weekday, nth) in self.nth or (is_last and (weekday, _LAST) in self.nth):
                    found.add(day)
        return sorted(day for day in found if day <= length)


@lru_cache(maxsize=1_024)
def parse(expression: str) -> Cron:
    """Reads an expression of five fields, or of six with seconds before them, or a nickname such as `@daily`.

    Raises:
        ValidationError: it says `Invalid cron`, names the field, and what was expected there.
    """
    if len(expression) > EXPRESSION_LENGTH_MAX:
        raise ValidationError(
            f"Invalid cron expression {shown(expression)} has {len(expression):,} characters; "
            f"expected at most {EXPRESSION_LENGTH_MAX}."
        )
    text = expression.strip().upper()
    fields = _NICKNAMES.get(text, text).split()
    if len(fields) not in (5, 6):
        known = f" or one of {', '.join(_NICKNAMES).lower()}" if text.startswith("@") else ""
        raise ValidationError(
            f"Invalid cron expression {shown(expression)} has {len(fields)} fields; expected 5 (minute, hour, day of "
            f"month, month, day of week), or 6 with the second before them{known}."
        )
    try:
        cron = _of_fields(["0", *fields] if len(fields) == 5 else fields, has_seconds=len(fields) == 6)
    except ValueError as error:
        raise ValidationError(f"Invalid cron expression {shown(expression)}: {error}") from None
    if cron.next_local(datetime(2000, 1, 1)) is None:
        raise ValidationError(
            f"Invalid cron expression {shown(expression)}: day of month {fields[-3]!r} never comes in month "
            f"{fields[-2]!r}; expected a day that exists."
        )
    return cron


def _of_fields(fields: list[str], *, has_seconds: bool) -> Cron:
    second, minute, hour, day, month, weekday = fields
    days, near = _days(day)
    weekdays, nth = _weekdays(weekday)
    return Cron(
        seconds=tuple(sorted(_numbers(_SECOND_FIELD, second))),
        minutes=tuple(sorted(_numbers(_MINUTE, minute))),
        hours=tuple(sorted(_numbers(_HOUR, hour))),
        days=days,
        near=near,
        months=frozenset(_numbers(_MONTH, month)),
        weekdays=weekdays,
        nth=nth,
        has_seconds=has_seconds,
    )


def _days(text: str) -> tuple[frozenset[int] | None, frozenset[int]]:
    if text in ("*", "?"):
        return None, frozenset()
    days: set[int] = set()
    near: set[int] = set()
    for item in text.split(","):
        is_near = _NEAR.fullmatch(item)
        if item == "L":
            days.add(_LAST)
        elif is_near:
            near.add(_LAST if is_near["day"] == "L" else _number(_DAY, is_near["day"], item))
        else:
            days |= _of_item(_DAY, item)
    return frozenset(days), frozenset(near)


def _weekdays(text: str) -> tuple[frozenset[int] | None, frozenset[tuple[int, int]]]:
    if text in ("*", "?"):
        return None, frozenset()
    weekdays: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for item in text.split(","):
        is_nth, is_last = _NTH.fullmatch(item), _LAST_OF.fullmatch(item)
        if is_nth:
            number = _LAST if is_nth["nth"] == "L" else int(is_nth["nth"])
            nth.add((_number(_WEEKDAY, is_nth["day"], item) % 7, number))
        elif is_last:
            nth.add((_number(_WEEKDAY, is_last["day"], item) % 7, _LAST))
        else:
            weekdays |= {number % 7 for number in _of_item(_WEEKDAY, item)}
    return frozenset(weekdays), frozenset(nth)


def _numbers(field: _Field, text: str) -> set[int]:
    return {number for item in text.split(",") for number in _of_item(field, item)}


def _of_item(field: _Field, item: str) -> set[int]:
    """The numbers of one element of a list: `*`, `5`, `1-5`, each perhaps with a step."""
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"{field.name} {item!r}; expected {_expected(field)}.")
    step = int(match["step"] or 1)
    if not 1 <= step <= field.high - field.low + 1:
        raise ValueError(f"{field.name} {item!r} has the step {step}; expected 1 to {field.high - field.low + 1}.")
    if match["all"]:
        # Sunday is there once: as 0.
        return set(range(field.low, field.high + (field is not _WEEKDAY), step))
    first = _number(field, match["first"], item)
    last = first if match["last"] is None else _number(field, match["last"], item)
    if match["last"] is None and match["step"]:
        last = field.high - (field is _WEEKDAY)
    if field is _WEEKDAY and last == 0 < first:
        last = 7  # FRI-SUN
    if last < first:
        raise ValueError(
            f"{field.name} {item!r} ends before it begins; write it as two ranges: "
            f"{match['first']}-{field.high},{field.low}-{match['last']}."
        )
    return set(range(first, last + 1, step))


def _number(field: _Field, text: str, item: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if text.isascii() and text.isdigit() and field.low <= int(text) <= field.high:
        return int(text)
    raise ValueError(f"{field.name} {item!r}; expected {_expected(field)}.")


def _expected(field: _Field) -> str:
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    special = {_DAY: ", '?', 'L', '15W'", _WEEKDAY: ", '?', 'FRI#2', '5L'"}.get(field, "")
    return (
        f"{field.low} to {field.high}{names}, '*', ranges such as '{field.low}-{field.low + 4}', steps '*/2'{special}"
    )


def _nearest_weekday(year: int, month: int, day: int, length: int) -> int:
    """The Monday to Friday nearest to a day, without leaving the month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def _months_from(start: datetime) -> Iterator[tuple[int, int]]:
    for year in range(start.year, min(start.year + _YEARS_AHEAD, 9_999) + 1):
        for month in range(start.month if year == start.year else 1, 13):
            yield year, month
