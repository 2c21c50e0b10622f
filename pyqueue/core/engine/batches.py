"""Batches: jobs that wait for any number of others, which are added while some of them run already."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Struct

from pyqueue.core.engine import flows
from pyqueue.core.job import NO_EXTRAS, Extras
from pyqueue.core.store import whole_flows
from pyqueue.core.store.transaction import Transaction


class CloseBatch(Struct, frozen=True):
    """Ends the hold of a batch on jobs, given by id with what they make of a failure."""

    waiting: tuple[tuple[str, int], ...]

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        for job_id, policy in self.waiting:
            flows.released(tx, whole_flows.let_go(tx, tx.key_of(job_id), policy))
        whole_flows.let_go_ended(tx, [tx.key_of(job_id) for job_id, _ in self.waiting])


def waiting_for(tx: Transaction, batch_id: str) -> tuple[tuple[str, int], ...]:
    """The jobs that an open batch holds, as `CloseBatch` takes them."""
    return tuple(
        (tx.text_of(key), (NO_EXTRAS if extras is None else msgspec.json.decode(extras, type=Extras)).policy)
        for key, extras in whole_flows.held(tx, batch_id)
    )
