"""Where a job stands among others: in the line of its queue, and behind its parents. Reads only."""

from __future__ import annotations

from typing import Final

from pyqueue.core.store.transaction import Transaction

_AHEAD: Final = """
    SELECT id FROM pyqueue_job WHERE state = 0 AND queue = ? ORDER BY priority DESC, rank, id LIMIT ?
"""
_UNFINISHED_PARENTS: Final = """
    SELECT parent.id, parent.state FROM pyqueue_dependency JOIN pyqueue_job AS parent ON parent.id = parent_id
    WHERE child_id = ? AND parent.state <> 4 ORDER BY parent.id LIMIT ?
"""


def ahead_of(tx: Transaction, queue: str, key: int, look_at: int) -> int | None:
    """How many jobs of the queue would be pulled before this one; None if more than `look_at`."""
    keys = [row[0] for row in tx.rows(_AHEAD, (queue, look_at + 1))]
    return keys.index(key) if key in keys else None


def unfinished_parents(tx: Transaction, key: int, limit: int) -> list[tuple[int, int]]:
    """Some of the parents that have not completed: (key, state)."""
    return tx.rows(_UNFINISHED_PARENTS, (key, limit))
