"""What the operations of a transaction have noted, written down right before its commit."""

from __future__ import annotations

from typing import Final

from pyqueue.core.store import counts, events
from pyqueue.core.store.transaction import Transaction

_PORTS: Final = "SELECT port FROM pyqueue_listener"


def write(tx: Transaction, *, logs_events: bool) -> None:
    """Logs the changes, or where they are not logged counts them, and learns whom to wake after the commit."""
    effects = tx.effects
    if effects.changes and logs_events:
        events.append(tx, effects.changes)
    elif effects.changes:
        counts.add(tx, effects.changes)
    if effects.wakes and effects.ports is None:
        effects.ports = tuple(port for (port,) in tx.rows(_PORTS))
