"""The pure modules: ids, backoff, transitions, rows, cutting of texts."""

from __future__ import annotations

import random
import sqlite3
import uuid
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqueue.core import backoff, ids, limits, validate
from pyqueue.core.backoff import Backoff
from pyqueue.core.errors import JobNotFound, ValidationError
from pyqueue.core.states import CODES, JobState
from pyqueue.core.store.rows import by_keys, exact_chunks, padded_chunks
from pyqueue.core.transitions import TRANSITIONS

KEYS = st.integers(0, 2**63 - 1)
SALTS = st.integers(0, 2**53 - 1)


@given(key=KEYS, salt=SALTS)
def test_an_id_is_a_uuid_of_version_7_that_leads_back_to_its_key(key: int, salt: int) -> None:
    text = ids.to_text(key, salt)

    parsed = uuid.UUID(text)
    assert (str(parsed), parsed.version, parsed.variant) == (text, 7, uuid.RFC_4122)
    assert parsed.int >> 80 == key >> ids.SEQUENCE_BITS
    assert ids.to_key(text, salt) == key


@given(first=KEYS, second=KEYS, salt=SALTS)
def test_ids_sort_as_their_keys_do(first: int, second: int, salt: int) -> None:
    assert (ids.to_text(first, salt) < ids.to_text(second, salt)) == (first < second)


@given(key=KEYS, salt=SALTS, other=SALTS)
def test_an_id_of_another_database_is_foreign(key: int, salt: int, other: int) -> None:
    if salt != other:
        with pytest.raises(JobNotFound):
            ids.to_key(ids.to_text(key, salt), other)


@given(number=st.uuids())
def test_any_uuid_is_either_ours_or_foreign(number: uuid.UUID) -> None:
    try:
        key = ids.to_key(str(number), number.int & (1 << 53) - 1)
    except JobNotFound:
        return
    assert ids.to_text(key, number.int & (1 << 53) - 1) == str(number)


@given(text=st.text(max_size=40))
def test_what_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises((ValidationError, JobNotFound)):
        ids.to_key(text, 0)


@given(attempt=st.integers(1, 10_000), base=st.integers(0, 10**9), kind=st.sampled_from(Backoff))
def test_backoff_never_shrinks_and_never_passes_its_ceiling(attempt: int, base: int, kind: Backoff) -> None:
    delay = backoff.next_delay_ms(attempt, kind=kind, base_ms=base)

    assert base <= delay <= max(base, limits.BACKOFF_MS_MAX)
    assert delay <= backoff.next_delay_ms(attempt + 1, kind=kind, base_ms=base)


@given(delay=st.integers(0, 10**9), seed=st.integers())
def test_jitter_stays_in_the_upper_half(delay: int, seed: int) -> None:
    assert delay - delay // 2 <= backoff.with_jitter_ms(delay, random.Random(seed)) <= delay


@pytest.mark.parametrize(("attempt", "base_ms"), [(0, 1), (1, -1)])
def test_backoff_refuses_what_makes_no_sense(attempt: int, base_ms: int) -> None:
    with pytest.raises(ValidationError):
        backoff.next_delay_ms(attempt, kind=Backoff.FIXED, base_ms=base_ms)


@given(rows=st.lists(st.integers(), max_size=1_300))
def test_chunks_hold_everything_in_order(rows: list[int]) -> None:
    assert [row for chunk in exact_chunks(rows) for row in chunk] == rows
    assert list(dict.fromkeys(row for chunk in padded_chunks(rows) for row in chunk)) == list(dict.fromkeys(rows))


@given(keys=st.lists(st.integers(0, 40), unique=True) | st.permutations(range(7, 19)))
def test_jobs_are_picked_by_their_keys_alone_neighbours_or_not(keys: list[int]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE job (id INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO job VALUES (?)", [(key,) for key in range(50)])
        statements = list(by_keys("SELECT id FROM job WHERE id {keys}", keys))
        picked = [key for sql, bound in statements for (key,) in connection.execute(sql, bound)]

    assert sorted(picked) == sorted(keys)
    is_run = bool(keys) and max(keys) - min(keys) + 1 == len(keys)
    assert not is_run or [len(bound) for _, bound in statements] == [2]


@given(text=st.text(), size=st.integers(20, 100))
def test_a_cut_text_fits_and_keeps_its_end(text: str, size: int) -> None:
    cut = validate.cut(text, size)

    assert len(cut.encode()) <= size
    if cut != text.encode(errors="replace").decode():
        assert cut.startswith("… (cut)")
        assert text.encode(errors="replace").decode().endswith(cut.removeprefix("… (cut)\n"))


def test_every_state_can_be_reached_and_every_unfinished_one_can_be_left() -> None:
    reached = {state for rule in TRANSITIONS.values() for state in rule.targets}
    left = {state for rule in TRANSITIONS.values() for state in rule.sources}

    assert reached == set(JobState)
    assert left >= {state for state in JobState if not state.is_terminal}


def test_the_codes_keep_the_order_that_sql_relies_on() -> None:
    not_started = [JobState.WAITING, JobState.DELAYED, JobState.BLOCKED]

    assert all(CODES[state] < 3 for state in not_started)
    assert CODES[JobState.ACTIVE] == 3
    assert all(CODES[state] >= 4 for state in JobState if state.is_terminal)
