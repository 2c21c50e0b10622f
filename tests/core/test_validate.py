"""What crosses the border, as laws: every value is kept as it was given, or refused; nothing is bent in silence."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyqueue import PyQueue
from pyqueue.core import limits, validate
from pyqueue.core.errors import ValidationError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
UNHOLDABLE = st.sampled_from([math.nan, math.inf, -math.inf])
NAME_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


@pytest.fixture(scope="module")
def store() -> Iterator[PyQueue]:
    with PyQueue.memory() as queue:
        yield queue


def is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=JSON)
@example(data="\0")
@example(data=2**70)
@example(data=-0.0)
@example(data={"": {"": []}})
def test_data_metadata_and_results_come_back_as_they_were(store: PyQueue, data: Any) -> None:
    job_id = store.push("q", "n", data, metadata=data)
    store.pull("q")
    store.ack(job_id, data)

    job = store.get_job(job_id)

    assert json.dumps([job.data, job.metadata, job.result]) == json.dumps([data] * 3)


@given(path=st.lists(st.sampled_from(["list", "dict", "tuple"]), max_size=5), number=UNHOLDABLE)
def test_a_number_that_json_cannot_hold_is_found_however_deep(path: list[str], number: float) -> None:
    value: Any = number
    for each in path:
        value = {"list": [1, value], "dict": {"a": None, "b": value}, "tuple": (value,)}[each]

    with pytest.raises(ValidationError, match="NaN or an infinity"):
        validate.json_text(value, "payload", 1_000)


@given(value=JSON, size=st.integers(0, 60))
def test_the_size_that_counts_is_that_of_the_json_in_bytes(value: Any, size: int) -> None:
    size_bytes = len(validate.json_text(value, "payload", 10**9).encode())

    if size_bytes <= size:
        assert len(validate.json_text(value, "payload", size).encode()) == size_bytes
    else:
        with pytest.raises(ValidationError, match=f"{size_bytes:,} bytes as JSON; expected at most {size:,}"):
            validate.json_text(value, "payload", size)


@given(name=st.text(NAME_LETTERS, min_size=1, max_size=256))
def test_a_name_of_allowed_letters_is_kept(name: str) -> None:
    assert validate.queue_name(name) == validate.job_name(name) == name


@given(name=st.text(max_size=300))
@example(name="a\n")
@example(name="é")
@example(name="٣")
def test_any_other_name_is_refused_and_the_name_it_suggests_is_allowed(name: str) -> None:
    if name and len(name) <= 256 and set(name) <= set(NAME_LETTERS):
        return

    with pytest.raises(ValidationError) as caught:
        validate.queue_name(name)

    message = str(caught.value)
    assert any(word in message for word in ("alphanumeric", "non-empty", "exceeds maximum"))
    if "Try '" in message and not message.endswith("...."):
        assert validate.queue_name(message.rpartition("Try '")[2].removesuffix("'.")) != name


@given(value=st.text(max_size=40), size=st.integers(1, 40))
@example(value="\ud800", size=40)
def test_a_text_is_kept_or_refused_by_its_bytes(value: str, size: int) -> None:
    fits = bool(value) and is_text(value) and len(value.encode()) <= size and "\0" not in value

    if fits:
        assert validate.text(value, "label", size) == value
    else:
        with pytest.raises(ValidationError, match="label"):
            validate.text(value, "label", size)


@given(values=st.lists(st.text("abc", min_size=1, max_size=3), max_size=8))
def test_a_list_of_texts_keeps_its_order_and_each_text_once(values: list[str]) -> None:
    kept = validate.texts(values, "tags", count_max=8, size_max=3)

    assert list(kept) == list(dict.fromkeys(values))


@given(value=st.integers(), low=st.integers(-100, 100), high=st.integers(-100, 100))
def test_a_number_is_kept_when_it_lies_within_its_bounds(value: int, low: int, high: int) -> None:
    if low <= value <= high:
        assert validate.integer(value, "number", low, high) == value
    else:
        with pytest.raises(ValidationError, match=f"from {low} to {high}"):
            validate.integer(value, "number", low, high)


@given(text=st.text(st.characters(codec="utf-8"), max_size=200))
def test_an_error_text_is_kept_but_for_its_nul_characters(text: str) -> None:
    assert validate.error_text(text) == text.replace("\0", "\ufffd")


@given(value=st.text(max_size=200) | st.lists(st.integers()) | st.binary())
def test_a_shown_value_is_short(value: object) -> None:
    assert len(validate.shown(value)) <= 80


class Unfriendly(Exception):
    """Holds all that a store could stumble over."""

    def __str__(self) -> str:
        return "nul \0, surrogate \ud800, snowman ☃ " + "long " * 5_000


def test_any_exception_becomes_an_error_text_that_can_be_stored(queue: PyQueue) -> None:
    queue.push("q", "n", max_attempts=1)
    [job] = queue.pull("q")

    queue.fail(job, Unfriendly())

    error = str(queue.get_job(job).last_error)
    assert len(error.encode()) <= limits.ERROR_BYTES_MAX
    assert error.endswith("long long")
    assert queue.attempts(job)[0].error == error


def test_an_exception_is_kept_with_its_traceback_and_its_cause(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")
    try:
        try:
            raise KeyError("cause")
        except KeyError as cause:
            raise RuntimeError("effect") from cause
    except RuntimeError as error:
        queue.fail(job, error)

    text = str(queue.get_job(job).last_error)
    assert text.startswith("Traceback")
    assert "KeyError: 'cause'" in text
    assert text.endswith("RuntimeError: effect")
