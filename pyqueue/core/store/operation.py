"""What the committer runs: a write, as data."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pyqueue.core.store.transaction import Transaction

R_co = TypeVar("R_co", covariant=True)


class Operation(Protocol[R_co]):
    """One write. `run` may be called more than once, if the transaction around it must be repeated.

    `durable`: whether losing it to a power failure would matter (a lost claim does not:
    the job is merely handed out again). An operation that refuses by raising a
    `PyQueueError` should do so before its first write.

    Three things are optional. `merges` and `run_together(tx, operations)`: neighbours can be run in
    fewer statements than one by one; gives the result of each, or the error it alone is refused with.
    `never_clashes`: once it has written it is not refused, so inside the transaction of a host it needs no savepoint.
    `undo(result)`: the operations that take it back when the task that asked for it is gone.
    """

    @property
    def durable(self) -> bool: ...

    def run(self, tx: Transaction) -> R_co: ...
