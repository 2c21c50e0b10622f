"""How often each thing has happened to the jobs of each queue, ever: sums of the event log, kept when it is forgotten.

They are brought up to the log together with the counts (`store.counts`), by whoever folds it, so a push pays nothing.
"""

from __future__ import annotations

from typing import Final

from pyqueue.core.store.transaction import Transaction

# A job that was deleted is in no state; a primary key has no null.
GONE: Final = -1

_MOVES: Final = """
    SELECT queue, event, coalesce(state, -1) AS state, sum(jobs) AS jobs FROM pyqueue_event
    WHERE position > {after} AND position <= {last} GROUP BY queue, event, coalesce(state, -1)
"""
_FOLD: Final = f"""
    INSERT INTO pyqueue_total (queue, event, state, jobs, counted_at)
    SELECT queue, event, state, jobs, CAST(? AS BIGINT)
    FROM ({_MOVES.format(after="?", last="?")}) AS moves WHERE true
    ON CONFLICT (queue, event, state) DO UPDATE
    SET jobs = pyqueue_total.jobs + excluded.jobs, counted_at = excluded.counted_at
"""
_LATER: Final = _MOVES.format(
    after="(SELECT value FROM pyqueue_meta WHERE key = 'counted_to')", last="9223372036854775807"
)
_ALL: Final = f"""
    SELECT queue, event, state, CAST(sum(jobs) AS BIGINT)
    FROM (SELECT queue, event, state, jobs FROM pyqueue_total UNION ALL {_LATER}) AS moves
    GROUP BY queue, event, state ORDER BY queue, event, state
"""
_FORGET: Final = """
    DELETE FROM pyqueue_total
    WHERE queue NOT IN (SELECT queue FROM pyqueue_total WHERE counted_at >= ?)
      AND queue NOT IN (SELECT queue FROM pyqueue_count WHERE jobs > 0)
"""


def fold(tx: Transaction, after: int, last: int) -> None:
    """Adds what the log says between two positions."""
    tx.execute(_FOLD, (tx.now_us, after, last))


def of_all(tx: Transaction) -> list[tuple[str, str, int, int]]:
    """(queue, event, state, jobs) of all that has happened."""
    return tx.rows(_ALL)


def forget(tx: Transaction, before_us: int) -> int:
    """Drops the totals of queues that have no jobs and to which nothing has happened since; gives how many."""
    return tx.execute(_FORGET, (before_us,)).rowcount
