"""Offices that one process holds at a time, and the addresses of those that wait for wake-ups."""

from __future__ import annotations

from typing import Final

from pyqueue.core.store.transaction import Transaction

# Taken when it is free, or when its holder has not renewed it; renewed by its holder.
_TAKE: Final = """
    INSERT INTO pyqueue_lease (name, holder, lease_until) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
    WHERE pyqueue_lease.holder = excluded.holder OR pyqueue_lease.lease_until <= ?
    RETURNING holder
"""
_HOLDER: Final = "SELECT holder, lease_until FROM pyqueue_lease WHERE name = ?"
_LEAVE: Final = "DELETE FROM pyqueue_lease WHERE name = ? AND holder = ?"

_LISTEN: Final = """
    INSERT INTO pyqueue_listener (port, listens_until) VALUES (?, ?)
    ON CONFLICT (port) DO UPDATE SET listens_until = excluded.listens_until
"""
_GO_DEAF: Final = "DELETE FROM pyqueue_listener WHERE port = ? OR listens_until <= ?"


def take(tx: Transaction, office: str, holder: str, lease_us: int) -> bool:
    """Takes or renews an office until `lease_us` from now; False if another holds it."""
    return tx.row(_TAKE, (office, holder, tx.now_us + lease_us, tx.now_us)) is not None


def is_free_for(tx: Transaction, office: str, holder: str) -> bool:
    """Whether `take` would succeed; reads only."""
    row = tx.row(_HOLDER, (office,))
    return row is None or row[0] == holder or row[1] <= tx.now_us


def leave(tx: Transaction, office: str, holder: str) -> None:
    """Gives an office up, so that another need not wait for the end of the lease."""
    tx.execute(_LEAVE, (office, holder))


def listen(tx: Transaction, port: int, listens_us: int) -> None:
    """Asks all processes for a datagram to this port whenever jobs become ready."""
    tx.execute(_LISTEN, (port, tx.now_us + listens_us))


def go_deaf(tx: Transaction, port: int) -> None:
    """Takes the address back, and those of processes that have died."""
    tx.execute(_GO_DEAF, (port, tx.now_us))
