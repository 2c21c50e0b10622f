"""How many jobs of each queue are in each state, at any size of the job table.

The event log says from which state to which jobs went, so a transaction that logs what it did
need not count it as well: the counts are those of `pyqueue_count`, plus the events behind the
position up to which they have been added to it. Every few hundred events somebody adds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pyqueue.core.store import positions, totals
from pyqueue.core.store.rows import flat, with_rows
from pyqueue.core.store.transaction import Change, Transaction

# A reader adds up at most about as many events as this.
FOLD_EVERY: Final = 500

_MOVES: Final = """
    SELECT queue, state, jobs FROM pyqueue_event WHERE {which} AND state IS NOT NULL
    UNION ALL
    SELECT queue, source, -jobs FROM pyqueue_event WHERE {which} AND source IS NOT NULL
"""
_LATER: Final = _MOVES.format(which="position > (SELECT value FROM pyqueue_meta WHERE key = 'counted_to')")
# A sum of 64-bit numbers is a Decimal on PostgreSQL, unless it is cast.
_ALL: Final = f"""
    SELECT queue, state, CAST(sum(jobs) AS BIGINT)
    FROM (SELECT queue, state, jobs FROM pyqueue_count UNION ALL {_LATER}) AS moves
    GROUP BY queue, state HAVING sum(jobs) <> 0
"""
_OF_QUEUE: Final = f"""
    SELECT state, CAST(sum(jobs) AS BIGINT)
    FROM (SELECT queue, state, jobs FROM pyqueue_count UNION ALL {_LATER}) AS moves
    WHERE queue = ? GROUP BY state
"""
_COUNTED_TO: Final = "SELECT value FROM pyqueue_meta WHERE key = 'counted_to' /*pg FOR UPDATE SKIP LOCKED*/"
_FOLD: Final = f"""
    INSERT INTO pyqueue_count (queue, state, jobs)
    SELECT queue, state, sum(jobs) FROM ({_MOVES.format(which="position > ? AND position <= ?")}) AS moves
    WHERE true GROUP BY queue, state
    ON CONFLICT (queue, state) DO UPDATE SET jobs = pyqueue_count.jobs + excluded.jobs
"""
_FOLDED: Final = "UPDATE pyqueue_meta SET value = ? WHERE key = 'counted_to'"
_ADD: Final = """
    INSERT INTO pyqueue_count (queue, state, jobs) VALUES {rows}
    ON CONFLICT (queue, state) DO UPDATE SET jobs = pyqueue_count.jobs + excluded.jobs
"""


def of_queue(tx: Transaction, queue: str) -> dict[int, int]:
    """Jobs of the queue by state."""
    return dict(tx.rows(_OF_QUEUE, (queue,)))


def of_all(tx: Transaction) -> list[tuple[str, int, int]]:
    """(queue, state, jobs) of everything that is there."""
    return tx.rows(_ALL)


def fold(tx: Transaction) -> None:
    """Adds the events that were not yet to the counts."""
    row = tx.row(_COUNTED_TO)
    if row is None:
        return  # On PostgreSQL another transaction is about it.
    (first,), last = row, positions.settled(tx)
    if last > first:
        tx.execute(_FOLD, (first, last, first, last))
        totals.fold(tx, first, last)
        tx.execute(_FOLDED, (last,))


def add(tx: Transaction, changes: Sequence[Change]) -> None:
    """Counts changes that are not logged."""
    moved: dict[tuple[str, int], int] = {}
    for change in changes:
        for state, number in ((change.source, -len(change.keys)), (change.state, len(change.keys))):
            if state is not None:
                moved[change.queue, state] = moved.get((change.queue, state), 0) + number
    rows: list[tuple[Any, ...]] = [(queue, state, number) for (queue, state), number in sorted(moved.items()) if number]
    if rows:  # In one order everywhere, so that of two transactions none waits for the other and is waited for.
        tx.execute(with_rows(_ADD, 3, len(rows)), flat(rows))
