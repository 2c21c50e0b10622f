"""What follows from the end of a run that was claimed under a limit. Runs in the transaction that ends it."""

from __future__ import annotations

from pyqueue.core.store import breaker
from pyqueue.core.store.limits import SLOT_OF_BREAKER
from pyqueue.core.store.transaction import Transaction, Trip
from pyqueue.core.store.wakeup import ALL_WAITERS


def succeeded(tx: Transaction, queue: str, slot: int | None) -> None:
    """The slot is free again; a success closes the breaker."""
    freed(tx, queue, slot)
    if slot == SLOT_OF_BREAKER and breaker.close(tx, queue):
        tx.wake(queue, ALL_WAITERS)


def failed(tx: Transaction, queue: str, slot: int | None, error: str) -> None:
    """The slot is free again; as many failures in a row as the breaker bears open it."""
    freed(tx, queue, slot)
    if slot == SLOT_OF_BREAKER and (opened := breaker.count_failure(tx, queue)) is not None:
        failures, until_us = opened
        tx.wake(queue, ALL_WAITERS)  # They wait for the end of the runs; now they must wait for the breaker.
        tx.effects.trips.append(Trip(queue, failures, until_us, error))


def freed(tx: Transaction, queue: str, slot: int | None) -> None:
    """Wakes one who may have waited for the slot."""
    if slot is not None:
        tx.wake(queue, 1)
