"""Housekeeping as operations: one bounded transaction each, repeated by `core.housekeeper`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

from pyqueue.core import limits
from pyqueue.core.engine import sweep
from pyqueue.core.engine.finish import remove
from pyqueue.core.engine.sweep import Swept
from pyqueue.core.store import claim, retention, schedules
from pyqueue.core.store.transaction import Transaction


class Sweep(Struct, frozen=True):
    """Does what has fallen due: delays, ttls, leases, timeouts; at most `limits.SWEEP_CHUNK` of each."""

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Swept:
        return sweep.due(tx, limits.SWEEP_CHUNK)


class Remove(Struct, frozen=True):
    """Removes jobs found by `outlived`, unless somebody has retried or removed them since; gives how many."""

    keys: tuple[int, ...]
    keep_us: Mapping[int, int]

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> int:
        return remove(tx, retention.still_outlived(tx, self.keys, self.keep_us))


def is_anything_due(tx: Transaction) -> bool:
    """Whether a sweep would find work; a read that takes microseconds and no lock."""
    due_us = claim.next_due_us(tx)
    return due_us is not None and due_us <= tx.now_us


def next_due_us(tx: Transaction) -> int | None:
    """The next moment at which a delay, a ttl or a lease ends, or a schedule fires."""
    return min(
        (moment for moment in (claim.next_due_us(tx), schedules.next_due_us(tx)) if moment is not None), default=None
    )


def outlived(tx: Transaction, *, after: int, keep_us: Mapping[int, int]) -> tuple[list[int], int | None]:
    """The next finished jobs that retention may remove, and where to go on (None: at the end)."""
    return retention.outlived(tx, after=after, keep_us=keep_us, examine=10 * limits.SWEEP_CHUNK)
