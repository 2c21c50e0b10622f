"""Push: store new jobs, all of one call or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct

from pyqueue.core import validate
from pyqueue.core.engine import admission
from pyqueue.core.engine.admission import Tokens
from pyqueue.core.errors import DuplicateKey, JobNotFound, PyQueueError, QueuePaused, RateLimited, ValidationError
from pyqueue.core.options import NewJob, Settings
from pyqueue.core.states import BLOCKED, CANCELLED, COMPLETED, DELAYED, DLQ, STATES, WAITING
from pyqueue.core.store import claim, insert, keyed
from pyqueue.core.store.limits import HAS_KEYS, HAS_PUSHES
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event

REMOVE_ON_COMPLETE = 1
HAS_CHILDREN = 2

_NO_PARENT = "depends_on names job {}, which does not exist; expected ids of stored jobs."


class Push(Struct, frozen=True):
    """Stores `jobs` in `queue`; gives their keys, in order.

    Raises:
        QueuePaused, RateLimited, DuplicateKey, ValidationError (a parent does not exist, or cannot complete).
    """

    queue: str
    jobs: tuple[NewJob, ...]

    durable: ClassVar[bool] = True

    @property
    def merges(self) -> bool:
        """Plain jobs need no look-ups, so pushes of them can share one INSERT."""
        return all(job.settings is None for job in self.jobs)

    def run(self, tx: Transaction) -> Sequence[int]:
        tokens = _require_open(tx, self.queue, len(self.jobs))
        if self.merges:
            _take_tokens(tx, tokens)
            keys = tx.allocate(len(self.jobs))
            _store_plain(tx, self.queue, keys, self.jobs)
            return keys
        _require_unique(tx, self.queue, self.jobs)
        parents = [_parents(tx, job.settings) for job in self.jobs]
        if any(job.settings and (job.settings.group_id or job.settings.limit_key) for job in self.jobs):
            _begun_round(tx, self.queue)  # Before the first of them gets its turn, so that all count from one round.
        _take_tokens(tx, tokens)
        keys = tx.allocate(len(self.jobs))
        _store_plain(tx, self.queue, keys, self.jobs)
        _store_with_settings(tx, self.queue, keys, self.jobs, parents)
        return keys

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
            _take_tokens(tx, tokens)
            keys = tx.allocate(len(operation.jobs))
            its_rows = unkeyed if tx.queue(operation.queue).limits & HAS_KEYS else rows
            its_rows += _plain_rows(tx, operation.queue, keys, operation.jobs)
            pushed.setdefault(operation.queue, []).extend(keys)
            outcomes.append(keys)
        insert.insert_plain(tx, rows)
        insert.insert_unkeyed(tx, unkeyed)
        for queue, keys_of_queue in pushed.items():
            _note(tx, queue, WAITING, _as_range(keys_of_queue))
        return outcomes


def _require_open(tx: Transaction, queue: str, number: int) -> Tokens | None:
    """Refuses jobs that the queue does not take now; gives the tokens that they cost, where pushes are limited."""
    flags = tx.queue(queue)
    if flags.pushes_paused:
        raise QueuePaused(
            f"queue {queue!r} is paused and refuses new jobs; resume it with resume({queue!r}), or try again later."
        )
    return admission.tokens_for(tx, queue, number) if flags.limits & HAS_PUSHES else None


def _take_tokens(tx: Transaction, tokens: Tokens | None) -> None:
    if tokens is not None:
        admission.take(tx, tokens)


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


def _parents(tx: Transaction, settings: Settings | None) -> dict[int, int]:
    """The parents of a job and their states; each must exist and still be able to complete."""
    if settings is None or not settings.depends_on:
        return {}
    keys = {_parent_key(tx, job_id): job_id for job_id in settings.depends_on}
    states = insert.parent_states(tx, list(keys))
    for key, job_id in keys.items():
        state = states.get(key)
        if state is None:
            raise ValidationError(_NO_PARENT.format(job_id))
        if state in (DLQ, CANCELLED):
            raise ValidationError(
                f"depends_on names job {job_id}, which is {STATES[state]} and will not complete; "
                "retry that job first, or leave it out."
            )
    return states


def _parent_key(tx: Transaction, job_id: str) -> int:
    try:
        return tx.key_of(job_id)
    except JobNotFound as error:
        raise ValidationError(_NO_PARENT.format(job_id)) from error
    except ValidationError as error:
        raise ValidationError(f"depends_on: {error}") from error


def _store_plain(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> None:
    plain = [(key, job) for key, job in zip(keys, jobs, strict=True) if job.settings is None]
    if plain:
        plain_keys = keys if len(plain) == len(jobs) else [key for key, _ in plain]
        store = insert.insert_unkeyed if tx.queue(queue).limits & HAS_KEYS else insert.insert_plain
        store(tx, _plain_rows(tx, queue, plain_keys, [job for _, job in plain]))
        _note(tx, queue, WAITING, plain_keys)


def _plain_rows(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> list[tuple[Any, ...]]:
    rank = _own_turn(tx, queue)
    return [(key, queue, job.name, job.data_json, job.priority, rank) for key, job in zip(keys, jobs, strict=True)]


def _store_with_settings(
    tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob], parents: Sequence[dict[int, int]]
) -> None:
    rows, keyed_rows, tags, dependencies = [], [], [], []
    no_key = "" if tx.queue(queue).limits & HAS_KEYS else None
    turns: dict[Any, int] = {}
    for key, job, its_parents in zip(keys, jobs, parents, strict=True):
        settings = job.settings
        if settings is None:
            continue
        unfinished = sum(state != COMPLETED for state in its_parents.values())
        rank = _rank(tx, queue, key, job.priority, settings, turns)
        row = _row(tx, queue, key, job, settings, rank, unfinished if its_parents else None)
        limit_key = no_key if settings.limit_key is None else settings.limit_key
        if limit_key is None:
            rows.append(row)
        else:
            keyed_rows.append((*row, limit_key))
        tags += [(tag, key) for tag in settings.tags]
        dependencies += [(key, parent) for parent in its_parents]
    if rows or keyed_rows:
        insert.insert(tx, rows)
        insert.insert_keyed(tx, keyed_rows)
        insert.insert_tags(tx, tags)
        insert.insert_parents(tx, dependencies)


def _row(
    tx: Transaction, queue: str, key: int, job: NewJob, settings: Settings, rank: int, blocked_by: int | None
) -> tuple[Any, ...]:
    run_us = settings.run_us if settings.delay_us is None else tx.now_us + settings.delay_us
    state = BLOCKED if blocked_by else WAITING if run_us is None else DELAYED
    ttl_ms = settings.extras.ttl_ms
    expires_us = None if ttl_ms is None else tx.now_us + ttl_ms * 1_000
    _note(tx, queue, state, (key,), due_us=run_us)
    if expires_us is not None:
        tx.due(expires_us)
    return (
        key,
        queue,
        job.name,
        job.data_json,
        job.priority,
        rank,
        state,
        settings.max_attempts,
        settings.backoff,
        settings.backoff_delay_ms,
        settings.timeout_ms,
        run_us,
        expires_us,
        settings.unique_key,
        settings.group_id,
        settings.flow_id,
        settings.custom_id,
        settings.tags_json,
        settings.metadata_json,
        settings.extras_json,
        blocked_by,
        REMOVE_ON_COMPLETE if settings.extras.remove_on_complete else 0,
    )


def _rank(tx: Transaction, queue: str, key: int, priority: int, settings: Settings, turns: dict[Any, int]) -> int:
    """The place of a job among those of its queue and priority; the lower is pulled first.

    lifo: −key, so the newest is first, and before all others. Groups take turns by
    start-time fair queueing (Goyal, Vin, Cheng, 1996): each job of a group takes part in
    a later round than the one before it; pulling a job of a round moves the queue's round up
    to it. A job without a group counts as a group of its own. Limit keys are groups too, each of its
    priority, so that a flood of one key delays the others by its turns only.
    """
    if settings.extras.lifo:
        return -key
    group_id, limit_key = settings.group_id, settings.limit_key
    if group_id is None and limit_key is None:
        return _own_turn(tx, queue)
    group = (limit_key, priority) if group_id is None else group_id
    if group not in turns:
        begun = _begun_round(tx, queue)
        if group_id is not None:
            last = insert.last_rank(tx, queue, group_id)
        else:
            last = keyed.last_rank(tx, queue, str(limit_key), priority)
        turns[group] = max(begun, last)
    turns[group] += 1
    return turns[group]


def _begun_round(tx: Transaction, queue: str) -> int:
    """The current round; the first group of a queue begins them, or jobs without a group would all go before it."""
    if not tx.queue(queue).round:
        claim.advance_round(tx, queue, 1)
    return tx.queue(queue).round


def _own_turn(tx: Transaction, queue: str) -> int:
    """The next round; 0 as long as the queue has never seen a group."""
    current = tx.queue(queue).round
    return current + 1 if current else 0


def _note(tx: Transaction, queue: str, state: int, keys: Sequence[int], due_us: int | None = None) -> None:
    tx.announce(Change(Event.PUSH, queue, keys, None, state))
    if state == WAITING:
        tx.wake(queue, len(keys))
    elif state == DELAYED and due_us is not None:
        tx.due(due_us)


def _as_range(keys: Sequence[int]) -> Sequence[int]:
    """Consecutive keys as a range, which the event log stores as two numbers."""
    return range(keys[0], keys[-1] + 1) if keys[-1] - keys[0] + 1 == len(keys) else keys
