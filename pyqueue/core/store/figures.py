"""What those who watch want to know beyond counts and totals; each is found by an index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pyqueue.core import ids
from pyqueue.core.store.transaction import Transaction

_NEXT: Final = """
    SELECT id, updated_at FROM pyqueue_job WHERE queue = ? AND state = 0 ORDER BY priority DESC, rank, id LIMIT 1
"""
_LAPSED: Final = "SELECT queue, count(*) FROM pyqueue_job WHERE state = 3 AND lease_until <= ? GROUP BY queue"
_FIRED: Final = "SELECT name, execution_count FROM pyqueue_schedule ORDER BY name"


def ages_us(tx: Transaction, queues: Iterable[str]) -> dict[str, int]:
    """How long the job that is next in line has been ready, for each of the queues that has one: since it was
    pushed, or came back or was promoted, which is the last thing that can have been written to it.
    """
    heads = {queue: tx.row(_NEXT, (queue,)) for queue in queues}
    return {
        queue: max(0, tx.now_us - max(ids.created_us(head[0]), head[1] or 0))
        for queue, head in heads.items()
        if head is not None
    }


def lapsed(tx: Transaction) -> dict[str, int]:
    """The runs whose lease is over and that were not taken back, by queue."""
    return dict(tx.rows(_LAPSED, (tx.now_us,)))


def fired(tx: Transaction) -> dict[str, int]:
    """How many jobs each schedule has pushed in its moments."""
    return dict(tx.rows(_FIRED))
