"""Pull: hand jobs to a worker, under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from pyqueue.core import limits
from pyqueue.core.engine import sweep
from pyqueue.core.engine.allowance import Budgets, allowed
from pyqueue.core.engine.finish import Ref, Release
from pyqueue.core.engine.taken import Taken
from pyqueue.core.job import Job
from pyqueue.core.states import ACTIVE, WAITING
from pyqueue.core.store import claim, jobs
from pyqueue.core.store import limits as limits_store
from pyqueue.core.store.claim import ReadyRow
from pyqueue.core.store.limits import HAS_BREAKER, HOLDS_PULLS, SLOT, SLOT_OF_BREAKER
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event


class _Pulling(Struct, frozen=True):
    """Up to `count` jobs from `queues`, all it can from the first before it looks at the next."""

    queues: tuple[str, ...]
    count: int
    lease_ms: int
    worker_id: str | None

    # A power failure may undo a claim: the job then waits again, as after a release.
    durable: ClassVar[bool] = False

    def take(self, tx: Transaction) -> list[Taken]:
        """What it gets from each queue that gives anything."""
        taken = self._take_at_once(tx) if tx.on_postgres else []
        if not taken:
            sweep.due(tx, limits.SWEEP_CHUNK, self.queues[0])
        wanted = self.count - sum(len(of_queue.rows) for of_queue in taken)
        for queue in self.queues[len(taken) :]:
            if not wanted:
                break
            flags = tx.queue(queue)
            if not flags.pulls_paused:
                take = _take_allowed if flags.limits & HOLDS_PULLS else _take
                of_queue = take(tx, queue, wanted, self.lease_ms, self.worker_id)
                if of_queue.rows:
                    taken.append(of_queue)
                    wanted -= len(of_queue.rows)
        return taken

    def _take_at_once(self, tx: Transaction) -> list[Taken]:
        """What most pulls take, in one round trip; nothing where they have to look what is the matter."""
        until_us = tx.now_us + self.lease_ms * 1_000
        queue = self.queues[0]
        rows = claim.take_if_free(tx, queue, self.count, worker_id=self.worker_id, until_us=until_us)
        return [_handed_out(tx, queue, rows, until_us, self.worker_id)] if rows else []


class Pull(_Pulling, frozen=True):
    """Takes jobs to run."""

    def run(self, tx: Transaction) -> list[Job]:
        return _jobs(tx, self.take(tx))

    def undo(self, taken: list[Job]) -> list[Release]:
        """Gives the jobs back when whoever asked for them is gone."""
        return [Release(Ref(job.key, job.lease)) for job in taken]


class PullToPassOn(_Pulling, frozen=True):
    """`Pull` for a server, which hands the jobs on as JSON: where their rows say all, no Job is made of them."""

    def run(self, tx: Transaction) -> Taken | list[Job]:
        taken = self.take(tx)
        return taken[0] if len(taken) == 1 and taken[0].is_fresh else _jobs(tx, taken)

    def undo(self, taken: Taken | list[Job]) -> list[Release]:
        """As `Pull` does."""
        return [Release(Ref(job.key, job.lease)) for job in (taken.jobs() if isinstance(taken, Taken) else taken)]


def _jobs(tx: Transaction, taken: Sequence[Taken]) -> list[Job]:
    return jobs.with_details(tx, [job for of_queue in taken for job in of_queue.jobs()])


def _take(tx: Transaction, queue: str, count: int, lease_ms: int, worker_id: str | None) -> Taken:
    until_us = tx.now_us + lease_ms * 1_000
    if tx.on_postgres:
        rows = claim.take(tx, queue, count, worker_id=worker_id, until_us=until_us)
    else:
        rows = claim.ready(tx, queue, count)
        claim.claim(tx, [row[0] for row in rows], worker_id=worker_id, until_us=until_us)
    return _handed_out(tx, queue, rows, until_us, worker_id)


def _take_allowed(tx: Transaction, queue: str, count: int, lease_ms: int, worker_id: str | None) -> Taken:
    """`_take` under the limits of the queue: each job takes a slot, and a token where there is a rate."""
    budgets = Budgets(tx, limits_store.hold(tx, queue), queue)
    rows, limit_keys = allowed(tx, queue, count, budgets)
    slot = SLOT_OF_BREAKER if tx.queue(queue).limits & HAS_BREAKER else SLOT
    if buckets := budgets.spent(queue, limit_keys):
        limits_store.fill(tx, buckets)
    until_us = tx.now_us + lease_ms * 1_000
    claim.claim(tx, [row[0] for row in rows], worker_id=worker_id, until_us=until_us, slot=slot)
    return _handed_out(tx, queue, rows, until_us, worker_id)


def _handed_out(tx: Transaction, queue: str, rows: list[ReadyRow], until_us: int, worker_id: str | None) -> Taken:
    """What was claimed, and all that is to be noted of it."""
    if not rows:
        return Taken(tx.salt, queue, rows, {}, tx.now_us, until_us, worker_id)
    keys = [row[0] for row in rows]
    rich = [row[0] for row in rows if row[-1]]
    taken = Taken(tx.salt, queue, rows, claim.rare_columns(tx, rich) if rich else {}, tx.now_us, until_us, worker_id)
    reached = max([row[-2] for row in rows])
    if reached > 0 and reached > tx.queue(queue).round:  # Most queues have no turns, and need no look.
        claim.advance_round(tx, queue, reached)
    tx.announce(Change(Event.PULL, queue, keys, WAITING, ACTIVE, worker_id=worker_id))
    tx.due(taken.due_us)
    return taken
