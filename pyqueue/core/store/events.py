"""The log of what happened, written with what happened, and read by any process.

One row for each change of a transaction, however many jobs it moved: the ids of a batch of
pushes are consecutive, so their number says it all. Positions grow in the order of the commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from pyqueue.core.store import counts, positions
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event

# On PostgreSQL positions have gaps, so that what was forgotten is noted.
_FIRST: Final = """
    SELECT /*lite*/coalesce(min(position), 0) FROM pyqueue_event/*pg
        coalesce((SELECT value FROM pyqueue_meta WHERE key = 'forgotten_to'), 0) + 1*/
"""
_READ: Final = """
    SELECT position, happened_at, event, queue, source, state, first_id, jobs, other_ids, worker_id, error
    FROM pyqueue_event WHERE position > ? AND position <= ? ORDER BY position LIMIT ?
"""
# Keeps the newest row whatever its age: positions are never given out again.
_FORGET: Final = """
    DELETE FROM pyqueue_event WHERE position IN (
        SELECT position FROM pyqueue_event
        WHERE position < (SELECT max(position) FROM pyqueue_event)
          AND position <= (SELECT value FROM pyqueue_meta WHERE key = 'counted_to')
          AND (position <= /*lite*/(SELECT max(position) FROM pyqueue_event) - ?/*pg
                   (SELECT position FROM pyqueue_event ORDER BY position DESC OFFSET ? LIMIT 1)*/
               OR happened_at < ?)
        ORDER BY position LIMIT ?
    )
    RETURNING position
"""
_FORGOTTEN_TO: Final = """
    INSERT INTO pyqueue_meta (key, value) VALUES ('forgotten_to', ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE pyqueue_meta.value < excluded.value
"""


def append(tx: Transaction, changes: Sequence[Change]) -> bool:
    """Writes down the changes of this transaction; gives whether it is time to bring the counts up to them."""
    rows = [_row(tx.now_us, change) for change in changes if change.keys]
    return bool(rows) and tx.log(rows) % counts.FOLD_EVERY < len(rows)


def _row(now_us: int, change: Change) -> tuple[Any, ...]:
    keys = change.keys
    # A batch that was pushed together mostly moves together: then the first id and their number say it all.
    is_run = isinstance(keys, range) or len(keys) == 1 or list(range(keys[0], keys[0] + len(keys))) == keys
    # Else the distances from one id to the next, which are short numbers among neighbours.
    others = None if is_run else " ".join([str(b - a) for a, b in pairwise(keys)])
    return (
        now_us, change.event, change.queue, change.source, change.state, keys[0], len(keys), others,
        change.worker_id, change.error,
    )  # fmt: skip


def bounds(tx: Transaction) -> tuple[int, int]:
    """The positions of the oldest row that is kept, and of the newest that is settled; 0 and 0 for none."""
    return int(tx.row(_FIRST)[0]), positions.settled(tx)


def read(tx: Transaction, after: int, last: int, limit: int) -> list[tuple[int, int, Change]]:
    """Up to `limit` rows behind a position, up to `last`: (position, time, change), oldest first."""
    return [_of_row(row) for row in tx.rows(_READ, (after, last, limit))]


def _of_row(row: Sequence[Any]) -> tuple[int, int, Change]:
    position, at, event, queue, source, state, first, jobs, others, worker_id, error = row
    return position, at, Change(Event(event), queue, _keys(first, jobs, others), source, state, error, worker_id)


def _keys(first: int, jobs: int, others: str | None) -> Sequence[int]:
    if others is None:
        return range(first, first + jobs)
    return list(accumulate(map(int, others.split()), initial=first))


def forget(tx: Transaction, *, keep_rows: int, before_us: int, limit: int) -> int:
    """Drops rows beyond the newest `keep_rows`, or older than `before_us`; at most `limit`. Gives how many."""
    counts.fold(tx)  # What was not counted may not be forgotten.
    forgotten = tx.rows(_FORGET, (keep_rows, before_us, limit))
    if forgotten and tx.on_postgres:
        tx.execute(_FORGOTTEN_TO, (max(position for (position,) in forgotten),))
    return len(forgotten)
