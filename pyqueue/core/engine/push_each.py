"""Pushes of many callers at once: what a server gathers from its connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from pyqueue.core.engine.push import Push
from pyqueue.core.errors import PyQueueError, RateLimited
from pyqueue.core.options import NewJob
from pyqueue.core.store.transaction import Transaction


class PushEach(Struct, frozen=True):
    """Pushes of one plain job each to one queue: gives the key or the error of each, in order.

    What `Push` does with one call of as many jobs, but for a limit on pushes, which takes as many as it can.
    """

    queue: str
    jobs: tuple[NewJob, ...]

    durable: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Sequence[int | PyQueueError]:
        [outcome] = self.run_together(tx, [self])
        if isinstance(outcome, PyQueueError):
            raise outcome
        return outcome

    @classmethod
    def run_together(
        cls, tx: Transaction, operations: Sequence[PushEach]
    ) -> list[Sequence[int | PyQueueError] | PyQueueError]:
        outcomes = Push.run_together(tx, [Push(operation.queue, operation.jobs) for operation in operations])
        return [
            _one_by_one(tx, operation) if isinstance(outcome, RateLimited) else outcome
            for operation, outcome in zip(operations, outcomes, strict=True)
        ]


def _one_by_one(tx: Transaction, pushes: PushEach) -> list[int | PyQueueError]:
    outcomes = Push.run_together(tx, [Push(pushes.queue, (job,)) for job in pushes.jobs])
    return [outcome if isinstance(outcome, PyQueueError) else outcome[0] for outcome in outcomes]
