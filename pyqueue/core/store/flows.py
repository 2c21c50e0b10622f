"""The statements behind dependencies: jobs that wait for other jobs."""

from __future__ import annotations

from typing import Final

from pyqueue.core.store.transaction import Transaction

# blocked → waiting or delayed, for the children of a completed parent that wait for no other. The
# count makes this a matter of the children of one parent, however many parents they have.
_RELEASE: Final = """
    UPDATE pyqueue_job
    SET blocked_by = blocked_by - 1,
        state = CASE WHEN blocked_by > 1 THEN 2 WHEN run_at > ? THEN 1 ELSE 0 END,
        run_at = CASE WHEN blocked_by > 1 OR run_at > ? THEN run_at END,
        updated_at = ?
    WHERE state = 2 AND id IN (SELECT child_id FROM pyqueue_dependency WHERE parent_id = ?)
    RETURNING id, queue, state, run_at
"""

_BLOCKED_CHILDREN: Final = """
    SELECT id, queue, on_finish FROM pyqueue_job
    WHERE state = 2 AND id IN (SELECT child_id FROM pyqueue_dependency WHERE parent_id = ?)
    /*pg ORDER BY id FOR UPDATE*/
"""

_END_BLOCKED: Final = """
    UPDATE pyqueue_job SET state = ?, last_error = ?, updated_at = ? WHERE id = ? AND state = 2
"""

# A parent that is gone counts as completed: it was removed on completion, or a person deleted it.
_PARENTS: Final = """
    SELECT parent.id, parent.state
    FROM pyqueue_dependency JOIN pyqueue_job AS parent ON parent.id = parent_id
    WHERE child_id = ?
"""


def release(tx: Transaction, parent: int) -> list[tuple[int, str, int, int | None]]:
    """Counts a completed parent off at its blocked children: (key, queue, new state, run_at) of each."""
    return tx.rows(_RELEASE, (tx.now_us, tx.now_us, tx.now_us, parent))


def blocked_children(tx: Transaction, parent: int) -> list[tuple[int, str, int]]:
    """The jobs that wait for this one: (key, queue, on_finish)."""
    return tx.rows(_BLOCKED_CHILDREN, (parent,))


def end_blocked(tx: Transaction, key: int, state: int, reason: str) -> None:
    """Ends a job that can never run, since a parent cannot complete."""
    tx.execute(_END_BLOCKED, (state, reason, tx.now_us, key))


def parents_of(tx: Transaction, key: int) -> list[tuple[int, int]]:
    """The parents of a job that still exist: (key, state)."""
    return tx.rows(_PARENTS, (key,))
