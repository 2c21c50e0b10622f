"""The law of arguments: what is pushed is what the function gets, and what it returns is what the handle gives.

For every type, and anything of that type; and what is not of that type is refused at the push.
"""

from __future__ import annotations

import decimal
import enum
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyqueue import PyQueue
from pyqueue.core.errors import ValidationError
from tests.naming import shown


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Place(NamedTuple):
    name: str
    floor: int = 0


@dataclass
class Address:
    street: str
    number: int | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class Person:
    name: str
    homes: dict[str, Address]
    born: date | None = None


class Point(msgspec.Struct, frozen=True):
    x: float
    y: float


class Circle(msgspec.Struct, tag=True):
    centre: Point
    radius: float


class Square(msgspec.Struct, tag=True):
    corner: Point


class Options(TypedDict, total=False):
    loud: bool
    level: Level


NUMBERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=9))])
POINTS = st.builds(Point, FLOATS, FLOATS)
ADDRESSES = st.builds(Address, st.text(), st.none() | st.integers(0, 999), st.lists(st.text(), max_size=3))
PEOPLE = st.builds(Person, st.text(), st.dictionaries(st.text(), ADDRESSES, max_size=3), st.none() | st.dates())

# Of each type: anything that it holds, and some of what it does not.
TYPES: dict[str, tuple[Any, st.SearchStrategy[Any], list[Any]]] = {
    "int": (int, NUMBERS, ["1", 1.5, None, [1]]),
    "float": (float, FLOATS, ["1.5", None, math.nan, math.inf]),
    "str": (str, st.text(), [1, None, ["a"]]),
    "bool": (bool, st.booleans(), [1, "true", None]),
    "none": (None, st.none(), [0, ""]),
    "bytes": (bytes, st.binary(), [1, "not base64!", [1]]),
    "datetime": (datetime, st.datetimes(timezones=ZONES), ["yesterday", date(2026, 1, 1), True]),
    "naive datetime": (datetime, st.datetimes(), [None]),
    "aware datetime": (
        Annotated[datetime, msgspec.Meta(tz=True)],
        st.datetimes(timezones=ZONES),
        [datetime(2026, 1, 1)],
    ),
    "date": (date, st.dates(), ["2026-13-01", None]),
    "time": (time, st.times(), ["25:00:00", None]),
    "timedelta": (timedelta, st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)), ["a while", None]),
    "UUID": (uuid.UUID, st.uuids(), ["123", None]),
    "Decimal": (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False), ["one", None]),
    "Enum": (Colour, st.sampled_from(Colour), ["blue", 1, None]),
    "IntEnum": (Level, st.sampled_from(Level), [3, "1"]),
    "Literal": (Literal["a", "b"], st.sampled_from(["a", "b"]), ["c", None]),
    "dataclass": (Address, ADDRESSES, ["street", {"number": 1}, {"street": 1}]),
    "nested dataclasses": (Person, PEOPLE, [{"name": "a", "homes": {"b": {"street": 1}}}]),
    "Struct": (Point, POINTS, [{"x": 1.0}, {"x": 1.0, "y": "2"}, [1.0, 2.0]]),
    "TypedDict": (
        Options,
        st.fixed_dictionaries({}, optional={"loud": st.booleans(), "level": st.sampled_from(Level)}),
        [{"loud": 1}, "loud"],
    ),
    "NamedTuple": (Place, st.builds(Place, st.text(), st.integers(-5, 50)), [("a", "b"), {"name": "a"}]),
    "list": (list[int], st.lists(NUMBERS), [["a"], {"a": 1}, 1]),
    "set": (set[str], st.sets(st.text()), [{1}, "abc"]),
    "frozenset": (frozenset[uuid.UUID], st.frozensets(st.uuids()), [frozenset("a")]),
    "pair": (tuple[int, str], st.tuples(NUMBERS, st.text()), [(1,), (1, 2), ("a", 1)]),
    "tuple": (tuple[date, ...], st.lists(st.dates()).map(tuple), [(1,)]),
    "dict": (dict[str, Address], st.dictionaries(st.text(), ADDRESSES, max_size=4), [{"a": 1}, []]),
    "dict of numbers": (dict[int, str], st.dictionaries(NUMBERS, st.text()), [{"a": "b"}, {1: 2}]),
    "union": (int | str | None, NUMBERS | st.text() | st.none(), [1.5, [1]]),
    "union of structs": (
        Circle | Square,
        st.builds(Circle, POINTS, FLOATS) | st.builds(Square, POINTS),
        [Point(1, 2), {"type": "Triangle"}],
    ),
    "optional dataclass": (Address | None, st.none() | ADDRESSES, [5]),
    "constrained": (Annotated[int, msgspec.Meta(ge=1, le=9)], st.integers(1, 9), [0, 10]),
    "nested": (
        dict[str, list[Person | None]],
        st.dictionaries(st.text(), st.lists(st.none() | PEOPLE, max_size=2), max_size=2),
        [{"a": [1]}],
    ),
    "anything": (Any, st.recursive(st.none() | st.booleans() | st.text() | FLOATS, st.lists, max_leaves=5), [object()]),
}


@pytest.fixture
def queue() -> Iterator[PyQueue]:
    with PyQueue.memory() as opened:
        yield opened


@pytest.mark.parametrize("name", TYPES)
def test_what_is_pushed_is_what_the_function_gets_and_gives(queue: PyQueue, name: str) -> None:
    hint, values, _ = TYPES[name]
    seen: list[Any] = []

    def echo(value: Any, other: Any = "default") -> Any:
        seen.append((value, other))
        return value

    echo.__annotations__ = {"value": hint, "other": hint, "return": hint}
    task = queue.task(queue="q", remove_on_complete=False)(echo)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(values, values)
    def round_trip(value: Any, other: Any) -> None:
        seen.clear()
        first, second = task.push(value, other=other), task.push(value)
        assert queue.drain(raises=True).completed == 2
        assert seen == [(value, other), (value, "default")]
        assert type(seen[0][0]) is type(value)
        assert first.result(0) == second.result(0) == value

    round_trip()


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in TYPES for wrong in TYPES[name][2]], ids=shown)
def test_what_is_not_of_the_type_is_refused_at_the_push(queue: PyQueue, name: str, wrong: Any) -> None:
    hint, _, _ = TYPES[name]

    def take(value: Any, other: Any = None) -> None: ...

    take.__annotations__ = {"value": hint, "other": Any}
    task = queue.task(queue="q")(take)

    with pytest.raises(ValidationError) as raised:
        task.push(wrong)
    with pytest.raises(ValidationError):
        task.map([{"value": wrong}])
    assert "'take'" in str(raised.value) or "payload" in str(raised.value)
    assert queue.queues() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, [1.0, -math.inf]], ids=repr)
def test_a_float_without_json_form_is_refused_even_where_null_would_fit(queue: PyQueue, value: Any) -> None:
    @queue.task(queue="q")
    def take(value: float | list[float | None] | None) -> None: ...

    with pytest.raises(ValidationError, match="NaN or an infinity"):
        take.push(value)


def test_an_error_within_an_argument_says_where(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def take(person: Person) -> None: ...

    with pytest.raises(ValidationError, match=r"parameter 'person.homes\[...\].tags\[1\]': Expected `str`, got `int`"):
        take.push(Person("a", {"b": Address("c", tags=["d", 5])}))  # type: ignore[list-item]
