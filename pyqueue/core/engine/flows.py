"""What the end of a job means for the jobs that depend on it. Runs in the transaction that ends it."""

from __future__ import annotations

from pyqueue.core.states import BLOCKED, CANCELLED, DELAYED, DLQ, WAITING
from pyqueue.core.store import flows
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event


def parent_completed(tx: Transaction, parent: int) -> None:
    """Releases the children that waited for this parent only."""
    for key, queue, state, run_us in flows.release(tx, parent):
        if state == BLOCKED:
            continue
        tx.announce(Change(Event.UNBLOCK, queue, (key,), BLOCKED, state))
        if state == WAITING:
            tx.wake(queue, 1)
        elif state == DELAYED and run_us is not None:
            tx.due(run_us)


def parent_ended(tx: Transaction, parent: int, state: int) -> None:
    """Ends all that waited for a parent that will not complete: dead with it, or cancelled with it.

    Goes down the whole tree below `parent`, however deep, without recursion. The jobs of a
    deleted parent are cancelled.
    """
    target = DLQ if state == DLQ else CANCELLED
    ended = [parent]
    for key in ended:
        reason = f"parent job '{tx.text_of(key)}' {'moved to DLQ' if target == DLQ else 'was cancelled or deleted'}"
        for child, queue, _ in flows.blocked_children(tx, key):
            flows.end_blocked(tx, child, target, reason)
            tx.announce(Change(Event.CASCADE, queue, (child,), BLOCKED, target, error=reason))
            ended.append(child)
