"""How many jobs of each queue are in each state, at any size of the job table.

The event log says from which state to which jobs went, so a transaction that logs what it did
need not count it as well: the counts are those of `pyqueue_count`, plus the events behind the
position up to which they have been added to it. Every few hundred events somebody adds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pyqueue.core.store.rows import flat, with_rows
from pyqueue.core.store.transaction import Change, Transaction

# A reader adds up at most about as many events as this.
FOLD_EVERY: Final = 500

_LATER: Final = "position > (SELECT value FROM pyqueue_meta WHERE key = 'counted_to')"
_UNFOLDED: Final = f"""
    SELECT queue, state, jobs FROM pyqueue_event WHERE {_LATER} AND state IS NOT NULL
    UNION ALL
    SELECT queue, source, -jobs FROM pyqueue_event WHERE {_LATER} AND source IS NOT NULL
"""
_ALL: Final = f"""
    SELECT queue, state, sum(jobs) FROM (SELECT queue, state, jobs FROM pyqueue_count UNION ALL {_UNFOLDED})
    GROUP BY queue, state HAVING sum(jobs) <> 0
"""
_OF_QUEUE: Final = f"""
    SELECT state, sum(jobs) FROM (SELECT queue, state, jobs FROM pyqueue_count UNION ALL {_UNFOLDED})
    WHERE queue = ? GROUP BY state
"""
_FOLD: Final = f"""
    INSERT INTO pyqueue_count (queue, state, jobs)
    SELECT queue, state, sum(jobs) FROM ({_UNFOLDED}) WHERE true GROUP BY queue, state
    ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + excluded.jobs
"""
_FOLDED: Final = """
    UPDATE pyqueue_meta SET value = (SELECT coalesce(max(position), 0) FROM pyqueue_event) WHERE key = 'counted_to'
"""
_ADD: Final = """
    INSERT INTO pyqueue_count (queue, state, jobs) VALUES {rows}
    ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + excluded.jobs
"""


def of_queue(tx: Transaction, queue: str) -> dict[int, int]:
    """Jobs of the queue by state."""
    return dict(tx.rows(_OF_QUEUE, (queue,)))


def of_all(tx: Transaction) -> list[tuple[str, int, int]]:
    """(queue, state, jobs) of everything that is there."""
    return tx.rows(_ALL)


def fold(tx: Transaction) -> None:
    """Adds the events that were not yet to the counts."""
    tx.execute(_FOLD)
    tx.execute(_FOLDED)


def add(tx: Transaction, changes: Sequence[Change]) -> None:
    """Counts changes that are not logged."""
    moved: dict[tuple[str, int], int] = {}
    for change in changes:
        for state, number in ((change.source, -len(change.keys)), (change.state, len(change.keys))):
            if state is not None:
                moved[change.queue, state] = moved.get((change.queue, state), 0) + number
    rows: list[tuple[Any, ...]] = [(queue, state, number) for (queue, state), number in moved.items() if number]
    if rows:
        tx.execute(with_rows(_ADD, 3, len(rows)), flat(rows))
