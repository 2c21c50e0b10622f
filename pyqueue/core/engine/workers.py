"""Workers saying that they are there, and who was heard of."""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import Struct

from pyqueue.core.engine.finish import Ref
from pyqueue.core.engine.lease import Heartbeat
from pyqueue.core.errors import PyQueueError
from pyqueue.core.job import HeartbeatResult
from pyqueue.core.presence import PRESENCE_LAPSES_SECONDS, Presence, WorkerInfo
from pyqueue.core.store import workers
from pyqueue.core.store.transaction import Transaction

_LAPSES_US: Final = int(PRESENCE_LAPSES_SECONDS * 1_000_000)


class Beat(Struct, frozen=True):
    """A worker's sign of life: extends the leases of the jobs in its hand, and now and then says who it is.

    Gives for each job what `Heartbeat` does.
    """

    refs: tuple[Ref, ...]
    lease_ms: int
    presence: Presence | None

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> list[HeartbeatResult | PyQueueError]:
        results = Heartbeat(self.refs, self.lease_ms).run(tx) if self.refs else []
        if self.presence is not None:
            workers.note(tx, self.presence, len(self.refs))
            workers.forget_dead(tx, tx.now_us - _LAPSES_US)
        return results


class Leave(Struct, frozen=True):
    """A worker has ended."""

    worker_id: str

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> None:
        workers.forget(tx, self.worker_id)


def living(tx: Transaction) -> list[WorkerInfo]:
    """The workers that were heard of lately."""
    return workers.seen_since(tx, tx.now_us - _LAPSES_US)
