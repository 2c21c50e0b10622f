"""Unique keys beyond "one live job": who holds a key, jobs replaced where they wait, and keys held for a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pyqueue.core.store.insert import insert_tags
from pyqueue.core.store.rows import padded_chunks, run_rows, with_marks
from pyqueue.core.store.transaction import Transaction

_HOLDERS: Final = """
    SELECT unique_key, id, state FROM pyqueue_job
    WHERE queue = ? AND unique_key IN ({marks}) AND unique_key IS NOT NULL AND state < 4 /*pg FOR UPDATE*/
"""

# A job that is gone has completed: that is what leaves no row behind.
_RECENT: Final = """
    SELECT recent.unique_key, recent.job_id, coalesce(job.state, 4)
    FROM pyqueue_unique AS recent LEFT JOIN pyqueue_job AS job ON job.id = recent.job_id
    WHERE recent.queue = ? AND recent.held_until > ? AND recent.unique_key IN ({marks})
"""
_REMEMBER: Final = """
    INSERT INTO pyqueue_unique (queue, unique_key, job_id, held_until) VALUES {rows}
    ON CONFLICT (queue, unique_key) DO UPDATE SET job_id = excluded.job_id, held_until = excluded.held_until
"""

_GIVE_UP: Final = "UPDATE pyqueue_job SET unique_key = NULL WHERE id IN ({marks})"

_TAGS: Final = "SELECT tags FROM pyqueue_job WHERE id = ? AND tags IS NOT NULL"
_DELETE_TAG: Final = "DELETE FROM pyqueue_tag WHERE tag = ? AND job_id = ?"

# What a push says of a job, but for its place: queue, key, group, limit key, flow and parents stay. Of `on_finish`
# the bits for its removal and its follow-ups.
_REPLACE: Final = """
    UPDATE pyqueue_job
    SET name = ?, data = ?, priority = ?, max_attempts = ?, backoff = ?, backoff_delay_ms = ?, timeout_ms = ?,
        expires_at = ?, custom_id = ?, tags = ?, metadata = ?, extras = ?, on_finish = (on_finish & -6) | ?,
        attempt = 0, state = ?, run_at = coalesce(?, run_at), updated_at = ?
    WHERE id = ? AND state < 3
"""


class Holder(NamedTuple):
    """A job that stands in the way of a push with its unique key."""

    key: int
    state: int


def holders(tx: Transaction, queue: str, unique_keys: Sequence[str]) -> dict[str, Holder]:
    """The live jobs of a queue that hold these keys."""
    rows = [
        row
        for chunk in padded_chunks(unique_keys)
        for row in tx.rows(with_marks(_HOLDERS, len(chunk)), [queue, *chunk])
    ]
    return {unique_key: Holder(key, state) for unique_key, key, state in rows}


def recent(tx: Transaction, queue: str, unique_keys: Sequence[str]) -> dict[str, Holder]:
    """The jobs pushed with these keys whose time to hold them is not over, live or not."""
    rows = [
        row
        for chunk in padded_chunks(unique_keys)
        for row in tx.rows(with_marks(_RECENT, len(chunk)), [queue, tx.now_us, *chunk])
    ]
    return {unique_key: Holder(key, state) for unique_key, key, state in rows}


def remember(tx: Transaction, rows: Sequence[tuple[str, str, int, int]]) -> None:
    """Holds keys for a time, from rows of (queue, unique key, job, until)."""
    run_rows(tx, _REMEMBER, 4, rows)


def give_up(tx: Transaction, keys: Sequence[int]) -> None:
    """Takes their unique keys from jobs."""
    for chunk in padded_chunks(keys):
        tx.execute(with_marks(_GIVE_UP, len(chunk)), chunk)


def replace(tx: Transaction, key: int, values: Sequence[Any], *, tags: Sequence[str]) -> None:
    """Gives a job that waits the values of another push: those that `_REPLACE` sets, in its order, up to the time."""
    for (tags_json,) in tx.rows(_TAGS, (key,)):
        for tag in msgspec.json.decode(tags_json):
            tx.execute(_DELETE_TAG, (tag, key))
    tx.execute(_REPLACE, (*values, tx.now_us, key))
    insert_tags(tx, [(tag, key) for tag in tags])
