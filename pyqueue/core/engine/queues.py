"""Queues as a whole: counted, paused, resumed."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from pyqueue.core.engine import limiting
from pyqueue.core.job import QueueCounts, QueueInfo
from pyqueue.core.quota import QueueBreaker, QueueLimit
from pyqueue.core.states import STATES, WAITING
from pyqueue.core.store import breaker, counts, limits, queues
from pyqueue.core.store.transaction import Transaction


class Pause(Struct, frozen=True):
    """Stops pushes to a queue, pulls from it, or both, until `Resume`. Kept in the database."""

    queue: str
    pushes: bool
    pulls: bool

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        queues.pause(tx, self.queue, pushes=self.pushes, pulls=self.pulls)


class Resume(Struct, frozen=True):
    """Ends every pause of a queue, closes its breaker, and tells the waiting pulls."""

    queue: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        queues.resume(tx, self.queue)
        breaker.close(tx, self.queue)
        tx.wake(self.queue, max(1, counts.of_queue(tx, self.queue).get(WAITING, 0)))


def stats(tx: Transaction, queue: str) -> QueueCounts:
    """Counts of one queue; all zero for a name that no job carries."""
    return _counts(counts.of_queue(tx, queue))


def overview(tx: Transaction) -> list[QueueInfo]:
    """Every queue that has jobs, or is paused or limited, by name."""
    by_queue: dict[str, dict[int, int]] = {}
    for queue, state, jobs in counts.of_all(tx):
        by_queue.setdefault(queue, {})[state] = jobs
    pauses = queues.pauses(tx)
    limits_of, breakers = limits_by_queue(tx), breakers_by_queue(tx)
    return [
        QueueInfo(
            name,
            _counts(by_queue.get(name, {})),
            *pauses.get(name, (False, False)),
            tuple(limits_of.get(name, ())),
            breakers.get(name),
        )
        for name in sorted(by_queue.keys() | pauses.keys())
    ]


def limits_by_queue(tx: Transaction) -> dict[str, list[QueueLimit]]:
    """Every limit that is set."""
    by_queue: dict[str, list[QueueLimit]] = {}
    for limit in limits.of_all(tx):
        by_queue.setdefault(limit.queue, []).append(limiting.shown(limit))
    return by_queue


def breakers_by_queue(tx: Transaction) -> dict[str, QueueBreaker]:
    """Every breaker and where it stands."""
    return {name: limiting.shown_breaker(found, tx.now_us) for name, found in breaker.of_all(tx)}


def _counts(by_state: dict[int, int]) -> QueueCounts:
    return QueueCounts(**{STATES[state].value: jobs for state, jobs in by_state.items()})
