"""Push: store new jobs, all of one call or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct

from pyqueue.core import validate
from pyqueue.core.engine import admission, unique
from pyqueue.core.engine.admission import Tokens
from pyqueue.core.engine.storing import (
    AS_THEY_ARE,
    Storing,
    as_range,
    note,
    places_of,
    plain_rows,
    store_all_plain,
    store_new,
    take_tokens,
)
from pyqueue.core.errors import DuplicateKey, InvalidState, PyQueueError, QueuePaused, RateLimited, ValidationError
from pyqueue.core.options import NewJob
from pyqueue.core.states import WAITING
from pyqueue.core.store import insert, whole_flows
from pyqueue.core.store.limits import HAS_KEYS, HAS_PUSHES
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.uniqueness import PushOutcome


class Push(Struct, frozen=True):
    """Stores `jobs` in `queue`; gives their keys, in order.

    Raises:
        QueuePaused, RateLimited, DuplicateKey, ValidationError (a parent does not exist, or cannot complete).
    """

    queue: str
    jobs: tuple[NewJob, ...]
    depth_max: int | None = None

    durable: ClassVar[bool] = True

    @property
    def merges(self) -> bool:
        """Plain jobs need no look-ups, so pushes of them can share one INSERT."""
        return all(job.settings is None for job in self.jobs)

    @property
    def never_clashes(self) -> bool:
        """Plain jobs have no unique key, and no parent that could be missing."""
        return self.merges

    def run(self, tx: Transaction) -> Sequence[int]:
        if len(self.jobs) == 1 and self.merges:
            tx.expect_open(self.queue)
        tokens = _require_open(tx, self.queue, len(self.jobs))
        if self.merges:
            take_tokens(tx, tokens)
            keys = tx.allocate(len(self.jobs))
            store_all_plain(tx, self.queue, keys, self.jobs)
            return keys
        return store(tx, [self.queue] * len(self.jobs), self.jobs, Storing(self.depth_max), [tokens])

    @classmethod
    def run_together(cls, tx: Transaction, operations: Sequence[Push]) -> list[Sequence[int] | PyQueueError]:
        """Plain pushes of any queues: one INSERT for all, and one change for each queue."""
        outcomes: list[Sequence[int] | PyQueueError] = []
        rows: list[tuple[Any, ...]] = []
        unkeyed: list[tuple[Any, ...]] = []
        pushed: dict[str, list[int]] = {}
        for operation in operations:
            try:
                tokens = _require_open(tx, operation.queue, len(operation.jobs))
            except (QueuePaused, RateLimited) as error:
                outcomes.append(error)
                continue
            take_tokens(tx, tokens)
            keys = tx.allocate(len(operation.jobs))
            its_rows = unkeyed if tx.queue(operation.queue).limits & HAS_KEYS else rows
            its_rows += plain_rows(tx, operation.queue, keys, operation.jobs)
            pushed.setdefault(operation.queue, []).extend(keys)
            outcomes.append(keys)
        insert.insert_plain(tx, rows)
        insert.insert_unkeyed(tx, unkeyed)
        for queue, keys_of_queue in pushed.items():
            note(tx, queue, WAITING, as_range(keys_of_queue))
        return outcomes


class PushFlow(Struct, frozen=True):
    """Stores jobs, each in its queue of `queues`, all or none; gives their keys, in order.

    `is_held`: they wait for a batch, which `CloseBatch` ends. `waiting`: held jobs, with what they make of a failure,
    that have to wait for these too.

    Raises:
        What `Push` raises. InvalidState: the batch is closed.
    """

    queues: tuple[str, ...]
    jobs: tuple[NewJob, ...]
    depth_max: int | None = None
    is_held: bool = False
    waiting: tuple[tuple[str, int], ...] = ()

    durable: ClassVar[bool] = True

    @property
    def queue(self) -> str:
        """The queue of the first of them."""
        return self.queues[0]

    def run(self, tx: Transaction) -> Sequence[int]:
        tokens = [_require_open(tx, queue, number) for queue, number in Counter(self.queues).items()]
        waiting = [(tx.key_of(job_id), policy) for job_id, policy in self.waiting]
        if waiting and not whole_flows.are_held(tx, [key for key, _ in waiting]):
            raise InvalidState("this batch is closed or cancelled and takes no more jobs; begin another one.")
        how = Storing(self.depth_max, self.is_held, waiting)
        return store(tx, self.queues, self.jobs, how, tokens)


def store(
    tx: Transaction,
    queues: Sequence[str],
    jobs: Sequence[NewJob],
    how: Storing = AS_THEY_ARE,
    tokens: Sequence[Tokens | None] = (),
) -> Sequence[int]:
    """Stores jobs, each in its queue, whether that takes any now or not; gives their keys, in order.

    Raises:
        DuplicateKey, ValidationError: before anything is written.
    """
    if any(job.settings and job.settings.unique for job in jobs):
        return store_unique(tx, queues, jobs, how, tokens)[0]
    for queue, its in places_of(queues).items():
        _require_unique(tx, queue, [jobs[place] for place in its])
    return store_new(tx, queues, jobs, how, tokens)


def store_unique(
    tx: Transaction,
    queues: Sequence[str],
    jobs: Sequence[NewJob],
    how: Storing = AS_THEY_ARE,
    tokens: Sequence[Tokens | None] = (),
) -> tuple[list[int], list[PushOutcome]]:
    """`store` where a job that is there may be the answer: gives the job of each push, and what was done."""
    if any(job.settings and job.settings.inner for job in jobs):
        raise ValidationError(
            "unique_mode or unique_for_ms among jobs that depend on each other; expected unique keys without them "
            "in such a push, or one push for each job."
        )
    places = places_of(queues)
    settled = {queue: unique.settle(tx, queue, [jobs[place] for place in its]) for queue, its in places.items()}
    for each in settled.values():
        each.prepare(tx)
    new = [(queue, job) for queue, each in settled.items() for job in each.stored]
    keys = iter(store_new(tx, [queue for queue, _ in new], [job for _, job in new], how, tokens))
    answers: dict[int, tuple[int, PushOutcome]] = {}
    for queue, its in places.items():
        found = settled[queue].finish(tx, [next(keys) for _ in settled[queue].stored])
        answers.update(zip(its, zip(found, settled[queue].outcomes, strict=True), strict=True))
    return [answers[place][0] for place in range(len(jobs))], [answers[place][1] for place in range(len(jobs))]


class PushUnique(Struct, frozen=True):
    """A push that tells what it has done: gives the job of each push, and its outcome."""

    push: Push

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> tuple[list[int], list[PushOutcome]]:
        queue, jobs, depth_max = self.push.queue, self.push.jobs, self.push.depth_max
        tokens = [_require_open(tx, queue, len(jobs))]
        return store_unique(tx, [queue] * len(jobs), jobs, Storing(depth_max), tokens)


def _require_open(tx: Transaction, queue: str, number: int) -> Tokens | None:
    """Refuses jobs that the queue does not take now; gives the tokens that they cost, where pushes are limited."""
    flags = tx.queue(queue)
    if flags.pushes_paused:
        raise QueuePaused(
            f"queue {queue!r} is paused and refuses new jobs; resume it with resume({queue!r}), or try again later."
        )
    return admission.tokens_for(tx, queue, number) if flags.limits & HAS_PUSHES else None


def _require_unique(tx: Transaction, queue: str, jobs: Sequence[NewJob]) -> None:
    wanted = [job.settings.unique_key for job in jobs if job.settings and job.settings.unique_key]
    if not wanted:
        return
    seen: set[str] = set()
    for unique_key in wanted:
        if unique_key in seen:
            raise DuplicateKey(
                f"unique key {validate.shown(unique_key)} stands twice in one batch; expected each key once."
            )
        seen.add(unique_key)
    for unique_key, holder in insert.held_unique_keys(tx, queue, wanted).items():
        raise DuplicateKey(
            f"unique key {validate.shown(unique_key)} is held by job {tx.text_of(holder)} of queue {queue!r}; "
            "wait for that job to finish, cancel it, or use another key."
        )
