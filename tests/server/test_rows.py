"""The list of rows is true: what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.server.rows import ROWS

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("row", "place"), [(row, place) for row, places in ROWS.items() for place in places])
def test_what_proves_a_row_is_there(row: str, place: str) -> None:
    path, _, name = place.partition("::")
    text = (_ROOT / path).read_text()

    assert not name or re.search(rf"^def {name}", text, re.MULTILINE), f"{row}: {place}"


def test_no_row_is_missing() -> None:
    numbers = {row for row in ROWS if row[0] in "RB"}
    rulings = {f"R{number}" for number in range(1, 15)}
    of_the_library = {"B15", "B19", "B28"}
    weaknesses = {f"B{number}" for number in (*range(1, 39), *range(40, 48), *range(50, 54))} | {"B5a", "B5b"}

    assert numbers == rulings | weaknesses - of_the_library - {"B39"}
