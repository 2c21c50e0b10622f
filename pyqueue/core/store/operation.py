"""What the committer runs: a write, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from pyqueue.core.store.transaction import Transaction

R_co = TypeVar("R_co", covariant=True)


class Operation(Protocol[R_co]):
    """One write. `run` may be called more than once, if the transaction around it must be repeated.

    `durable`: whether losing it to a power failure would matter (a lost claim does not:
    the job is merely handed out again). An operation that refuses by raising a
    `PyQueueError` should do so before its first write.
    """

    @property
    def durable(self) -> bool: ...

    def run(self, tx: Transaction) -> R_co: ...


@runtime_checkable
class Mergeable(Protocol):
    """An operation of which neighbours can be run in fewer statements than one by one."""

    merges: ClassVar[bool]

    @classmethod
    def run_together(cls, tx: Transaction, operations: Sequence[Any]) -> list[Any]:
        """The result of each operation, or the error that it alone is refused with."""
        ...
