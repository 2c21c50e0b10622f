"""The dialect of cron expressions: each element, and what is said of one that cannot be read."""

from __future__ import annotations

from datetime import datetime

import pytest

from pyqueue.core import cron
from pyqueue.core.errors import ValidationError

# 1 January 2027 is a Friday; the year has no 29 February.
NEW_YEAR = datetime(2026, 12, 31, 23, 59, 59)


def first(expression: str, count: int = 3, after: datetime = NEW_YEAR) -> list[str]:
    """The next local times, as `MM-DD HH:MM`."""
    found = []
    moment: datetime | None = after
    for _ in range(count):
        assert moment is not None
        moment = cron.parse(expression).next_local(moment)
        assert moment is not None
        found.append(moment)
    return [f"{each:%m-%d %H:%M}" for each in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", ["01-01 00:00", "01-01 00:01", "01-01 00:02"]),
        ("*/20 * * * *", ["01-01 00:00", "01-01 00:20", "01-01 00:40"]),
        ("5,35 * * * *", ["01-01 00:05", "01-01 00:35", "01-01 01:05"]),
        ("10-12 0 * * *", ["01-01 00:10", "01-01 00:11", "01-01 00:12"]),
        ("10-30/10 0 * * *", ["01-01 00:10", "01-01 00:20", "01-01 00:30"]),
        ("30/15 * * * *", ["01-01 00:30", "01-01 00:45", "01-01 01:30"]),
        ("0 9-17/4,23 * * *", ["01-01 09:00", "01-01 13:00", "01-01 17:00"]),
        ("0 0 15 * *", ["01-15 00:00", "02-15 00:00", "03-15 00:00"]),
        ("0 0 31 * *", ["01-31 00:00", "03-31 00:00", "05-31 00:00"]),
        ("0 0 1 FEB,jul *", ["02-01 00:00", "07-01 00:00", "02-01 00:00"]),
        ("0 0 1 2-3 *", ["02-01 00:00", "03-01 00:00", "02-01 00:00"]),
        ("0 0 ? * ?", ["01-01 00:00", "01-02 00:00", "01-03 00:00"]),
        ("0 0 L * *", ["01-31 00:00", "02-28 00:00", "03-31 00:00"]),
        ("0 0 L,1 * *", ["01-01 00:00", "01-31 00:00", "02-01 00:00"]),
        ("0 0 2W * *", ["01-01 00:00", "02-02 00:00", "03-02 00:00"]),  # Saturday: the Friday before
        ("0 0 3W 1 *", ["01-04 00:00", "01-03 00:00", "01-03 00:00"]),  # Sunday: the Monday after
        ("0 0 1W 5 *", ["05-03 00:00", "05-01 00:00", "05-01 00:00"]),  # Saturday the 1st: not the month before
        ("0 0 31W 1 *", ["01-29 00:00", "01-31 00:00", "01-31 00:00"]),  # Sunday the 31st: not the month after
        ("0 0 LW * *", ["01-29 00:00", "02-26 00:00", "03-31 00:00"]),
        ("0 0 * * 0", ["01-03 00:00", "01-10 00:00", "01-17 00:00"]),
        ("0 0 * * 7", ["01-03 00:00", "01-10 00:00", "01-17 00:00"]),
        ("0 0 * * sun", ["01-03 00:00", "01-10 00:00", "01-17 00:00"]),
        ("0 0 * * MON-FRI", ["01-01 00:00", "01-04 00:00", "01-05 00:00"]),
        ("0 0 * * 6-7", ["01-02 00:00", "01-03 00:00", "01-09 00:00"]),
        ("0 0 * * SAT-SUN", ["01-02 00:00", "01-03 00:00", "01-09 00:00"]),
        ("0 0 * * FRI#2", ["01-08 00:00", "02-12 00:00", "03-12 00:00"]),
        ("0 0 * * 5#5", ["01-29 00:00", "04-30 00:00", "07-30 00:00"]),
        ("0 0 * * 5L", ["01-29 00:00", "02-26 00:00", "03-26 00:00"]),
        ("0 0 * * FRI#L", ["01-29 00:00", "02-26 00:00", "03-26 00:00"]),
        ("0 0 * * MON,FRI#1", ["01-01 00:00", "01-04 00:00", "01-11 00:00"]),
        # Both day fields restricted: either may match. Only `*` and `?` leave one open.
        ("0 0 5 * SUN", ["01-03 00:00", "01-05 00:00", "01-10 00:00"]),
        ("0 0 */2 * SUN", ["01-01 00:00", "01-03 00:00", "01-05 00:00"]),
        ("0 0 ? * SUN", ["01-03 00:00", "01-10 00:00", "01-17 00:00"]),
        ("0 0 5 * *", ["01-05 00:00", "02-05 00:00", "03-05 00:00"]),
        ("@yearly", ["01-01 00:00", "01-01 00:00", "01-01 00:00"]),
        ("@annually", ["01-01 00:00", "01-01 00:00", "01-01 00:00"]),
        ("@monthly", ["01-01 00:00", "02-01 00:00", "03-01 00:00"]),
        ("@weekly", ["01-03 00:00", "01-10 00:00", "01-17 00:00"]),
        ("@Daily", ["01-01 00:00", "01-02 00:00", "01-03 00:00"]),
        ("@midnight", ["01-01 00:00", "01-02 00:00", "01-03 00:00"]),
        ("@hourly", ["01-01 00:00", "01-01 01:00", "01-01 02:00"]),
        ("  0   0 * * *  ", ["01-01 00:00", "01-02 00:00", "01-03 00:00"]),
    ],
)
def test_an_element_of_the_dialect_names_these_times(expression: str, expected: list[str]) -> None:
    assert first(expression) == expected


def test_a_sixth_field_in_front_names_seconds() -> None:
    moment = cron.parse("*/20 30 12 * * *").next_local(datetime(2027, 1, 1, 12, 30, 20, 900_000))

    assert moment == datetime(2027, 1, 1, 12, 30, 40)
    assert cron.parse("*/20 30 12 * * *").has_seconds and not cron.parse("30 12 * * *").has_seconds


def test_the_29th_of_february_is_found_over_a_century_without_one() -> None:
    assert cron.parse("0 0 29 2 *").next_local(datetime(2096, 3, 1)) == datetime(2104, 2, 29)


def test_the_fifth_monday_of_february_is_found_forty_years_ahead() -> None:
    assert cron.parse("0 0 * 2 MON#5").next_local(datetime(2072, 3, 1)) == datetime(2112, 2, 29)


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("60 * * * *", "minute '60'"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of month '0'"),
        ("* * 32W * *", "day of month '32W'"),
        ("* * * 13 *", "month '13'"),
        ("* * * JANUARY *", "month 'JANUARY'"),
        ("* * * * 8", "day of week '8'"),
        ("* * * * FRI#6", "day of week 'FRI#6'"),
        ("* * * * L", "day of week 'L'"),
        ("61 * * * * *", "second '61'"),
        ("? * * * *", "minute '?'"),
        ("5, * * * *", "minute ''"),
        ("1-2-3 * * * *", "minute '1-2-3'"),
        ("-1 * * * *", "minute '-1'"),
        ("٣ * * * *", "minute '٣'"),
        ("*/0 * * * *", "step 0"),
        ("*/61 * * * *", "step 61"),
        ("* 22-2 * * *", "22-23,0-2"),
        ("0 0 30 FEB *", "never comes"),
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("", "0 fields"),
        ("@reboot", "@hourly"),
        ("1," * 200 + "1 * * * *", "at most 256"),
    ],
)
def test_an_expression_that_cannot_be_read_is_refused_with_its_field(expression: str, part: str) -> None:
    with pytest.raises(ValidationError, match="Invalid cron") as refused:
        cron.parse(expression)

    assert part in str(refused.value)
