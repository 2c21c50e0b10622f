"""Figures of the whole database, for those who watch it."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from pyqueue.core.engine import queues, workers
from pyqueue.core.figures import Figures, Total
from pyqueue.core.states import STATES
from pyqueue.core.store import counts, figures, totals
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.transitions import Event
from pyqueue.core.webhook import QUEUE


class ForgetTotals(Struct, frozen=True):
    """Drops the totals of queues that are empty and were not used for `keep_ms`; gives how many."""

    keep_ms: int

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> int:
        counts.fold(tx)  # What has happened to a queue lately must be known first.
        return totals.forget(tx, tx.now_us - self.keep_ms * 1_000)


def taken(tx: Transaction) -> Figures:
    """The figures of this moment."""
    found = queues.overview(tx)
    return Figures(
        queues=found,
        totals=[
            Total(queue, Event(event), None if state == totals.GONE else STATES[state], jobs)
            for queue, event, state, jobs in totals.of_all(tx)
        ],
        ages_us=figures.ages_us(tx, [queue.name for queue in found if queue.counts.waiting]),
        lapsed=figures.lapsed(tx),
        fired=figures.fired(tx),
        workers=sum(list(worker.queues) != [QUEUE] for worker in workers.living(tx)),
    )
