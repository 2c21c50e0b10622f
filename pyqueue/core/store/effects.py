"""What the operations of a transaction have noted, written down right before its commit."""

from __future__ import annotations

from typing import Final

from pyqueue.core.store import events
from pyqueue.core.store.rows import flat, with_rows
from pyqueue.core.store.transaction import Transaction

_ADD_COUNTS: Final = """
    INSERT INTO pyqueue_count (queue, state, jobs) VALUES {rows}
    ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + excluded.jobs
"""
_PORTS: Final = "SELECT port FROM pyqueue_listener"


def write(tx: Transaction, *, logs_events: bool) -> None:
    """Adds the counts, appends to the event log, and learns whom to wake after the commit."""
    effects = tx.effects
    moved = [(queue, state, number) for (queue, state), number in effects.counts.items() if number]
    if moved:
        tx.execute(with_rows(_ADD_COUNTS, 3, len(moved)), flat(moved))
    if logs_events and effects.changes:
        events.append(tx, effects.changes)
    if effects.wakes and effects.ports is None:
        effects.ports = tuple(port for (port,) in tx.rows(_PORTS))
