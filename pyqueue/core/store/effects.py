"""What the operations of a transaction have noted, written down right before its commit."""

from __future__ import annotations

from typing import Final

from pyqueue.core.store import counts, events
from pyqueue.core.store.transaction import Transaction

_PORTS: Final = "SELECT port FROM pyqueue_listener"


def write(tx: Transaction, *, logs_events: bool) -> bool:
    """Logs the changes, or where they are not logged counts them, and learns whom to wake after the commit.

    Gives whether the counts must be brought up to the log; that is done here, unless the log was sent with the COMMIT.
    """
    effects = tx.effects
    is_fold_due = False
    if effects.changes and logs_events:
        is_fold_due = events.append(tx, effects.changes)
        if is_fold_due and not tx.is_sent_off:
            counts.fold(tx)
    elif effects.changes:
        counts.add(tx, effects.changes)
    if effects.wakes and effects.ports is None:
        effects.ports = tuple(port for (port,) in tx.rows(_PORTS))
    return is_fold_due and tx.is_sent_off
