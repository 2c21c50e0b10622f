"""Pull: hand jobs to a worker, under a lease."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import Struct

from pyqueue.core import limits
from pyqueue.core.engine import sweep
from pyqueue.core.engine.allowance import Budgets, allowed
from pyqueue.core.engine.finish import Ref, Release
from pyqueue.core.job import Job
from pyqueue.core.states import ACTIVE, WAITING
from pyqueue.core.store import claim, jobs
from pyqueue.core.store import limits as limits_store
from pyqueue.core.store.claim import ReadyRow
from pyqueue.core.store.limits import HAS_BREAKER, HOLDS_PULLS, SLOT, SLOT_OF_BREAKER
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event

_NOTHING_RARE: Final = (None,) * len(claim.RARE_COLUMNS)


class Pull(Struct, frozen=True):
    """Takes up to `count` jobs from `queues`, all it can from the first before it looks at the next.

    A power failure may undo a claim: the job then waits again, as after a release.
    """

    queues: tuple[str, ...]
    count: int
    lease_ms: int
    worker_id: str | None

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> list[Job]:
        sweep.due(tx, limits.SWEEP_CHUNK, self.queues[0])
        taken: list[Job] = []
        for queue in self.queues:
            flags = tx.queue(queue)
            if len(taken) < self.count and not flags.pulls_paused:
                take = _take_allowed if flags.limits & HOLDS_PULLS else _take
                taken += take(tx, queue, self.count - len(taken), self.lease_ms, self.worker_id)
        return jobs.with_details(tx, taken)

    def undo(self, taken: list[Job]) -> list[Release]:
        """Gives the jobs back when whoever asked for them is gone."""
        return [Release(Ref(job.key, job.lease)) for job in taken]


def _take(tx: Transaction, queue: str, count: int, lease_ms: int, worker_id: str | None) -> list[Job]:
    until_us = tx.now_us + lease_ms * 1_000
    if tx.on_postgres:
        rows = claim.take(tx, queue, count, worker_id=worker_id, until_us=until_us)
    else:
        rows = claim.ready(tx, queue, count)
        claim.claim(tx, [row[0] for row in rows], worker_id=worker_id, until_us=until_us)
    return _handed_out(tx, queue, rows, until_us, worker_id)


def _take_allowed(tx: Transaction, queue: str, count: int, lease_ms: int, worker_id: str | None) -> list[Job]:
    """`_take` under the limits of the queue: each job takes a slot, and a token where there is a rate."""
    budgets = Budgets(tx, limits_store.hold(tx, queue), queue)
    rows, limit_keys = allowed(tx, queue, count, budgets)
    slot = SLOT_OF_BREAKER if tx.queue(queue).limits & HAS_BREAKER else SLOT
    if buckets := budgets.spent(queue, limit_keys):
        limits_store.fill(tx, buckets)
    until_us = tx.now_us + lease_ms * 1_000
    claim.claim(tx, [row[0] for row in rows], worker_id=worker_id, until_us=until_us, slot=slot)
    return _handed_out(tx, queue, rows, until_us, worker_id)


def _handed_out(tx: Transaction, queue: str, rows: list[ReadyRow], until_us: int, worker_id: str | None) -> list[Job]:
    """The jobs of rows that were claimed."""
    if not rows:
        return []
    keys = [row[0] for row in rows]
    rich = [row[0] for row in rows if row[-1]]
    rare = claim.rare_columns(tx, rich) if rich else {}
    reached = max(row[-2] for row in rows)
    if reached > tx.queue(queue).round:
        claim.advance_round(tx, queue, reached)
    tx.announce(Change(Event.PULL, queue, keys, WAITING, ACTIVE, worker_id=worker_id))
    taken = _jobs(tx, queue, rows, rare, until_us, worker_id)
    tx.due(until_us if not rich else min(job.lease_us or until_us for job in taken))
    return taken


def _jobs(
    tx: Transaction,
    queue: str,
    rows: list[ReadyRow],
    rare: dict[int, tuple[Any, ...]],
    until_us: int,
    worker_id: str | None,
) -> list[Job]:
    """The jobs as the claim has left them, without reading them again."""
    salt, now_us = tx.salt, tx.now_us
    taken = []
    for key, name, priority, data, attempt, max_attempts, backoff, backoff_delay_ms, token, _rank, _is_rich in rows:
        (timeout_ms, expires_us, unique_key, group_id, flow_id, custom_id, tags, metadata, extras, blocked_by,
         progress, last_error, limit_key) = rare.get(key, _NOTHING_RARE)  # fmt: skip
        lease_us = until_us if timeout_ms is None else min(until_us, now_us + timeout_ms * 1_000)
        taken.append(Job(
            salt, key, queue, name, ACTIVE, priority, data, attempt, max_attempts, backoff, backoff_delay_ms,
            timeout_ms, None, expires_us, unique_key, group_id, flow_id, custom_id, tags, metadata, extras,
            blocked_by, token + 1, lease_us, worker_id, None, now_us, None, None, now_us, progress, None, last_error,
            limit_key,
        ))  # fmt: skip
    return taken
