"""The turn of a job among those of its queue and priority."""

from __future__ import annotations

from typing import Any

from pyqueue.core.options import Settings
from pyqueue.core.store import claim, insert, keyed
from pyqueue.core.store.transaction import Transaction


def rank(tx: Transaction, queue: str, key: int, priority: int, settings: Settings, turns: dict[Any, int]) -> int:
    """The place of a job among those of its queue and priority; the lower is pulled first.

    lifo: −key, so the newest is first, and before all others. Groups take turns by
    start-time fair queueing (Goyal, Vin, Cheng, 1996): each job of a group takes part in
    a later round than the one before it; pulling a job of a round moves the queue's round up
    to it. A job without a group counts as a group of its own. Limit keys are groups too, each of its
    priority, so that a flood of one key delays the others by its turns only.
    """
    if settings.extras.lifo:
        return -key
    group_id, limit_key = settings.group_id, settings.limit_key
    if group_id is None and limit_key is None:
        return own_turn(tx, queue)
    group = (limit_key, priority) if group_id is None else group_id
    if group not in turns:
        begun = begun_round(tx, queue)
        if group_id is not None:
            last = insert.last_rank(tx, queue, group_id)
        else:
            last = keyed.last_rank(tx, queue, str(limit_key), priority)
        turns[group] = max(begun, last)
    turns[group] += 1
    return turns[group]


def begun_round(tx: Transaction, queue: str) -> int:
    """The current round; the first group of a queue begins them, or jobs without a group would all go before it."""
    if not tx.queue(queue).round:
        claim.advance_round(tx, queue, 1)
    return tx.queue(queue).round


def own_turn(tx: Transaction, queue: str) -> int:
    """The next round; 0 as long as the queue has never seen a group."""
    current = tx.queue(queue).round
    return current + 1 if current else 0
