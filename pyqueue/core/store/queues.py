"""Queues as a whole: their pauses, and clearing them."""

from __future__ import annotations

from typing import Final

from pyqueue.core.states import JobState
from pyqueue.core.store.transaction import Transaction

_PAUSES: Final = """
    SELECT name, pushes_paused_at IS NOT NULL, pulls_paused_at IS NOT NULL FROM pyqueue_queue
    WHERE pushes_paused_at IS NOT NULL OR pulls_paused_at IS NOT NULL OR limits > 0
"""
_PAUSE: Final = """
    INSERT INTO pyqueue_queue (name, pushes_paused_at, pulls_paused_at) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE
    SET pushes_paused_at = coalesce(pyqueue_queue.pushes_paused_at, excluded.pushes_paused_at),
        pulls_paused_at = coalesce(pyqueue_queue.pulls_paused_at, excluded.pulls_paused_at)
"""
_RESUME: Final = "UPDATE pyqueue_queue SET pushes_paused_at = NULL, pulls_paused_at = NULL WHERE name = ?"

# One for each state, so that it stands in the SQL as a literal and its partial index is used. Finished jobs are
# walked by key, so that the walk can go on where it stopped. Blocked ones come newest first, children before
# parents; the order of the others does not matter, and sorting a million of them would.
_ORDER: Final = {
    JobState.WAITING: "AND ? IS NOT NULL",
    JobState.DELAYED: "AND ? IS NOT NULL",
    JobState.BLOCKED: "AND ? IS NOT NULL ORDER BY id DESC",
}
_KEYS_IN: Final = {
    state.code: "SELECT id FROM pyqueue_job "
    f"WHERE queue = ? AND state = {state.code} {_ORDER.get(state, 'AND id > ? ORDER BY id')} LIMIT ? /*pg FOR UPDATE*/"
    for state in JobState
}


def pauses(tx: Transaction) -> dict[str, tuple[bool, bool]]:
    """The paused and the limited queues: whether pushes and pulls are paused."""
    return {name: (bool(pushes), bool(pulls)) for name, pushes, pulls in tx.rows(_PAUSES)}


def pause(tx: Transaction, queue: str, *, pushes: bool, pulls: bool) -> None:
    tx.execute(_PAUSE, (queue, tx.now_us if pushes else None, tx.now_us if pulls else None))
    tx.forget_queue(queue)


def resume(tx: Transaction, queue: str) -> None:
    tx.execute(_RESUME, (queue,))
    tx.forget_queue(queue)


def keys_in(tx: Transaction, queue: str, state: int, *, after: int, limit: int) -> list[int]:
    """Keys of the jobs of a queue in a state. Those of finished jobs begin after `after`, oldest first."""
    return [row[0] for row in tx.rows(_KEYS_IN[state], (queue, after, limit))]
