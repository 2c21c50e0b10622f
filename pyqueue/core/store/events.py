"""The log of what happened, written with what happened, and read by any process.

One row for each change of a transaction, however many jobs it moved: the ids of a batch of
pushes are consecutive, so their number says it all. Positions grow in the order of the commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from pyqueue.core.store import counts
from pyqueue.core.store.executor import Cursor
from pyqueue.core.store.rows import in_pieces
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event

_APPEND: Final = """
    INSERT INTO pyqueue_event (happened_at, event, queue, source, state, first_id, jobs, other_ids, worker_id, error)
    VALUES {rows}
"""
_WIDTH: Final = 10

_RANGE: Final = "SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM pyqueue_event"
_READ: Final = """
    SELECT position, happened_at, event, queue, source, state, first_id, jobs, other_ids, worker_id, error
    FROM pyqueue_event WHERE position > ? ORDER BY position LIMIT ?
"""
# Keeps the newest row whatever its age: positions are never given out again.
_FORGET: Final = """
    DELETE FROM pyqueue_event WHERE position IN (
        SELECT position FROM pyqueue_event
        WHERE position < (SELECT max(position) FROM pyqueue_event)
          AND (position <= (SELECT max(position) FROM pyqueue_event) - ? OR happened_at < ?)
        ORDER BY position LIMIT ?
    )
"""


def append(tx: Transaction, changes: Sequence[Change]) -> None:
    """Writes down the changes of this transaction; now and then the counts are brought up to them."""
    rows = [_row(tx.now_us, change) for change in changes if change.keys]
    last = None
    for sql, values in in_pieces(_APPEND, _WIDTH, rows):
        last = tx.execute(sql, values).lastrowid
    if last is not None and last % counts.FOLD_EVERY < len(rows):
        counts.fold(tx)


def _row(now_us: int, change: Change) -> tuple[Any, ...]:
    keys = change.keys
    is_run = isinstance(keys, range) or len(keys) == 1
    # The distances from one id to the next: short numbers, since jobs that move together are mostly neighbours.
    others = None if is_run else " ".join(str(b - a) for a, b in pairwise(keys))
    return (
        now_us, change.event, change.queue, change.source, change.state, keys[0], len(keys), others,
        change.worker_id, change.error,
    )  # fmt: skip


def bounds(tx: Transaction) -> tuple[int, int]:
    """The positions of the oldest and the newest row that are kept; 0 and 0 for none."""
    first, last = tx.row(_RANGE)
    return int(first), int(last)


def read(tx: Transaction, after: int, limit: int) -> list[tuple[int, int, Change]]:
    """Up to `limit` rows behind a position: (position, time, change), oldest first."""
    return [_of_row(row) for row in tx.rows(_READ, (after, limit))]


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
    cursor: Cursor = tx.execute(_FORGET, (keep_rows, before_us, limit))
    return cursor.rowcount
