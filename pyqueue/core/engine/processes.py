"""What the processes on one database do about each other: lead, listen, and read what all have done."""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

from msgspec import Struct

from pyqueue.core.store import events, limits, offices
from pyqueue.core.store.transaction import Change, Transaction

HOUSEKEEPING: Final = "housekeeping"


class Lead(Struct, frozen=True):
    """Takes or renews the lead in housekeeping for `lease_ms`; gives whether it is ours."""

    holder: str
    lease_ms: int

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> bool:
        return offices.take(tx, HOUSEKEEPING, self.holder, self.lease_ms * 1_000)


class Resign(Struct, frozen=True):
    """Gives up the lead in housekeeping."""

    holder: str

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> None:
        offices.leave(tx, HOUSEKEEPING, self.holder)


class Listen(Struct, frozen=True):
    """Leaves the port of a process that waits for jobs, for `listens_ms`."""

    port: int
    listens_ms: int

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> None:
        offices.listen(tx, self.port, self.listens_ms * 1_000)


class GoDeaf(Struct, frozen=True):
    """Takes a port back, with those of processes that have died."""

    port: int

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> None:
        offices.go_deaf(tx, self.port)


class ForgetEvents(Struct, frozen=True):
    """Drops a chunk of the event log beyond `keep_rows`, or older than `keep_ms`; gives how many rows."""

    keep_rows: int
    keep_ms: int
    chunk: int

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> int:
        before_us = tx.now_us - self.keep_ms * 1_000
        return events.forget(tx, keep_rows=self.keep_rows, before_us=before_us, limit=self.chunk)


class ForgetLimits(Struct, frozen=True):
    """Drops a chunk of the token buckets that are full again, and of unique keys whose time is over."""

    chunk: int

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> int:
        return limits.forget(tx, self.chunk)


class Happened(NamedTuple):
    """Changes behind a position: (position, time, change) in order, where to go on, and whether some are missing."""

    changes: list[tuple[int, int, Change]]
    position: int
    has_gap: bool


def happened(tx: Transaction, after: int | None, limit: int) -> Happened:
    """What was committed after a position (None: nothing yet, from now on).

    `has_gap`: the log no longer reaches back to the position, or has never been at it.
    """
    first, last = events.bounds(tx)
    if after is None:
        return Happened([], last, has_gap=False)
    if after > last:
        return Happened([], last, has_gap=True)
    changes = events.read(tx, after, last, limit)
    return Happened(changes, changes[-1][0] if changes else after, has_gap=last > 0 and after + 1 < first)


def may_lead(tx: Transaction, holder: str) -> bool:
    """Whether the lead is ours or free; reads only."""
    return offices.is_free_for(tx, HOUSEKEEPING, holder)
