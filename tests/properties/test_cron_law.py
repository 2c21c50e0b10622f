"""Cron in time zones against an oracle that walks minute by minute and knows nothing of fields or offsets.

A rule is generated as text together with a predicate on local times. The oracle looks at every minute of
a stretch of time as a clock on the wall shows it, and writes down the minutes at which the rule is due.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyqueue.core import cron
from pyqueue.core.clock import from_datetime, to_datetime
from pyqueue.core.errors import ValidationError
from pyqueue.core.timetable import next_match

MINUTE = timedelta(minutes=1)
Field = tuple[str, Callable[[int], bool]]
Weekday = tuple[str, Callable[[datetime], bool]]
ZONES = (
    "Europe/Zurich",
    "America/New_York",
    "America/Santiago",  # southern, at midnight
    "Australia/Lord_Howe",  # southern, by 30 minutes
    "Pacific/Auckland",
    "Africa/Casablanca",  # negative DST, for Ramadan
    "Asia/Kolkata",  # none
    "UTC",
)


class Rule(NamedTuple):
    """A cron expression, whether it names every hour, and the times it means."""

    text: str
    is_hourly: bool
    means: Callable[[datetime], bool]


def due(rule: Rule, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The minutes in [start, end) at which the rule is due, by looking at the clock each minute."""
    found = []
    shown_before = (start - MINUTE).astimezone(zone).replace(tzinfo=None)
    moment = start
    while moment < end:
        shown = moment.astimezone(zone)
        local = shown.replace(tzinfo=None, fold=0)
        is_first_time = shown.fold == 0
        is_due = rule.means(local) and (rule.is_hourly or is_first_time)
        skipped = list(_between(shown_before + MINUTE, local)) if local > shown_before + MINUTE else []
        jump = timedelta(minutes=len(skipped))
        missed = [each for each in skipped if rule.means(each)]
        if any(not (rule.is_hourly and rule.means(each + jump)) for each in missed):
            is_due = True
        if is_due:
            found.append(moment)
        shown_before = local
        moment += MINUTE
    return found


def _between(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += MINUTE


def matched(text: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """What the product says for the same stretch."""
    rule, end_us = cron.parse(text), from_datetime(end)
    moment_us = next_match(rule, zone, from_datetime(start) - 1)
    found = []
    while moment_us is not None and moment_us < end_us:
        found.append(to_datetime(moment_us))
        following = next_match(rule, zone, moment_us)
        assert following is None or following > moment_us
        moment_us = following
    return found


@lru_cache
def changes_of_the_clock(zone_name: str, first_year: int = 2024, years: int = 4) -> tuple[datetime, ...]:
    """The moments, to the quarter of an hour, before which the clock of a zone was changed."""
    zone, step = ZoneInfo(zone_name), timedelta(minutes=15)
    moments = [datetime(first_year, 1, 1, tzinfo=UTC) + step * n for n in range(years * 366 * 96)]
    offsets = [moment.astimezone(zone).utcoffset() for moment in moments]
    return tuple(moments[n] for n in range(1, len(moments)) if offsets[n] != offsets[n - 1])


NUMBERS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12)}


@st.composite
def field(draw: st.DrawFn, part: str) -> Field:
    low, high = NUMBERS[part]
    a, b = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
    step = draw(st.sampled_from([1, 2, 3, 5, 7, 10, 15]))
    every: Field = ("*", lambda n: True)
    if step > high - low + 1:
        return every
    drawn: Field = draw(
        st.sampled_from(
            [
                every,
                (f"*/{step}", lambda n: (n - low) % step == 0),
                (f"{a}", lambda n: n == a),
                (f"{a},{b}", lambda n: n in (a, b)),
                (f"{a}-{b}", lambda n: a <= n <= b),
                (f"{a}-{b}/{step}", lambda n: a <= n <= b and (n - a) % step == 0),
            ]
        )
    )
    return drawn


@st.composite
def weekday(draw: st.DrawFn) -> Weekday:
    number, nth = draw(st.integers(0, 7)), draw(st.integers(1, 5))
    iso = 7 if number == 0 else number

    def is_last(local: datetime) -> bool:
        return local.isoweekday() == iso and (local + timedelta(days=7)).month != local.month

    every: Weekday = ("*", lambda local: True)
    drawn: Weekday = draw(
        st.sampled_from(
            [
                every,
                (f"{number}", lambda local: local.isoweekday() == iso),
                ("MON-FRI", lambda local: local.isoweekday() < 6),
                (f"{number}#{nth}", lambda local: local.isoweekday() == iso and -(-local.day // 7) == nth),
                (f"{number}L", is_last),
            ]
        )
    )
    return drawn


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    minute, hour, day, month = (draw(field(part)) for part in NUMBERS)
    if draw(st.booleans()):  # The hours in which clocks are changed.
        hour = draw(st.sampled_from([("*", lambda n: True), ("0-3", lambda n: n <= 3), ("2", lambda n: n == 2)]))
    if draw(st.booleans()):
        day, month = ("*", lambda n: True), ("*", lambda n: True)
    if draw(st.integers(0, 9)) == 0:
        day = ("L", lambda n: n < 0)  # See below: the last day of its month.
    week = draw(weekday())

    def means(local: datetime) -> bool:
        if not (minute[1](local.minute) and hour[1](local.hour) and month[1](local.month)):
            return False
        is_day = local.day == monthrange(local.year, local.month)[1] if day[0] == "L" else day[1](local.day)
        is_weekday = week[1](local)
        if day[0] != "*" and week[0] != "*":
            return is_day or is_weekday
        return is_day and is_weekday

    is_hourly = all(hour[1](n) for n in range(24))
    return Rule(f"{minute[0]} {hour[0]} {day[0]} {month[0]} {week[0]}", is_hourly, means)


def is_possible(rule: Rule) -> bool:
    """Whether its days exist: what never comes is refused."""
    try:
        cron.parse(rule.text)
    except ValidationError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(rule=rules().filter(is_possible), zone_name=st.sampled_from(ZONES), data=st.data())
def test_a_rule_is_due_when_the_clock_on_the_wall_says_so(rule: Rule, zone_name: str, data: st.DataObject) -> None:
    zone, changes = ZoneInfo(zone_name), changes_of_the_clock(zone_name)
    anywhere = st.integers(0, 4 * 365 * 24).map(lambda hours: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
    around = data.draw(st.sampled_from(changes) if changes else anywhere)
    start = around - MINUTE * data.draw(st.integers(0, 24 * 60))

    assert matched(rule.text, zone, start, start + timedelta(hours=36)) == due(
        rule, zone, start, start + timedelta(hours=36)
    )


NIGHTLY = Rule("30 2 * * *", is_hourly=False, means=lambda local: local.minute == 30 and local.hour == 2)
MIDNIGHT = Rule("0 0 * * *", is_hourly=False, means=lambda local: local.minute == 0 and local.hour == 0)
HOURLY = Rule("15 * * * *", is_hourly=True, means=lambda local: local.minute == 15)


@pytest.mark.parametrize(
    ("zone_name", "rule"),
    [("Europe/Zurich", NIGHTLY), ("America/Santiago", MIDNIGHT), ("Australia/Lord_Howe", HOURLY)],
    ids=["nightly", "midnight", "hourly"],
)
def test_a_whole_year_of_a_rule_is_due_when_the_clock_says_so(zone_name: str, rule: Rule) -> None:
    zone, start = ZoneInfo(zone_name), datetime(2026, 1, 1, tzinfo=UTC)
    end = start + timedelta(days=365)

    assert matched(rule.text, zone, start, end) == due(rule, zone, start, end)


@pytest.mark.soak
@pytest.mark.parametrize("zone_name", sorted(available_timezones() - {"localtime"}))
def test_in_every_zone_each_change_of_the_clock_is_met(zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    rules = [
        Rule("*/5 * * * *", is_hourly=True, means=lambda local: local.minute % 5 == 0),
        Rule("20 * * * *", is_hourly=True, means=lambda local: local.minute == 20),
        Rule("10,40 0-3 * * *", is_hourly=False, means=lambda local: local.minute in (10, 40) and local.hour <= 3),
        Rule("30 23 * * *", is_hourly=False, means=lambda local: local.minute == 30 and local.hour == 23),
    ]
    for change in changes_of_the_clock(zone_name, 2005, 25):
        start, end = change - timedelta(hours=27), change + timedelta(hours=27)
        for rule in rules:
            assert matched(rule.text, zone, start, end) == due(rule, zone, start, end), (rule.text, change)
