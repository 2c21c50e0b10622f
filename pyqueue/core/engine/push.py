"""Push: store new jobs, all of one call or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple

from msgspec import Struct

from pyqueue.core import validate
from pyqueue.core.engine import admission, flows, parents, turns, unique
from pyqueue.core.engine.admission import Tokens
from pyqueue.core.engine.parents import Parents
from pyqueue.core.errors import DuplicateKey, InvalidState, PyQueueError, QueuePaused, RateLimited, ValidationError
from pyqueue.core.follows import FOLLOW_UPS, HAS_CHILDREN, HELD, ONLY, REMOVE_ON_COMPLETE, SAW_FAILURE
from pyqueue.core.options import NewJob, Settings
from pyqueue.core.states import BLOCKED, DELAYED, WAITING
from pyqueue.core.store import insert, whole_flows
from pyqueue.core.store.limits import HAS_KEYS, HAS_PUSHES
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event
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

    def run(self, tx: Transaction) -> Sequence[int]:
        tokens = _require_open(tx, self.queue, len(self.jobs))
        if self.merges:
            _take_tokens(tx, tokens)
            keys = tx.allocate(len(self.jobs))
            _store_all_plain(tx, self.queue, keys, self.jobs)
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


class Storing(NamedTuple):
    """How jobs are stored beside what they say themselves; see `PushFlow`."""

    depth_max: int | None = None
    is_held: bool = False
    waiting: Sequence[tuple[int, int]] = ()


_AS_THEY_ARE: Final = Storing()


def store(
    tx: Transaction,
    queues: Sequence[str],
    jobs: Sequence[NewJob],
    how: Storing = _AS_THEY_ARE,
    tokens: Sequence[Tokens | None] = (),
) -> Sequence[int]:
    """Stores jobs, each in its queue, whether that takes any now or not; gives their keys, in order.

    Raises:
        DuplicateKey, ValidationError: before anything is written.
    """
    if any(job.settings and job.settings.unique for job in jobs):
        return store_unique(tx, queues, jobs, how, tokens)[0]
    for queue, its in _places(queues).items():
        _require_unique(tx, queue, [jobs[place] for place in its])
    return _store_new(tx, queues, jobs, how, tokens)


def store_unique(
    tx: Transaction,
    queues: Sequence[str],
    jobs: Sequence[NewJob],
    how: Storing = _AS_THEY_ARE,
    tokens: Sequence[Tokens | None] = (),
) -> tuple[list[int], list[PushOutcome]]:
    """`store` where a job that is there may be the answer: gives the job of each push, and what was done."""
    if any(job.settings and job.settings.inner for job in jobs):
        raise ValidationError(
            "unique_mode or unique_for_ms among jobs that depend on each other; expected unique keys without them "
            "in such a push, or one push for each job."
        )
    places = _places(queues)
    settled = {queue: unique.settle(tx, queue, [jobs[place] for place in its]) for queue, its in places.items()}
    for each in settled.values():
        each.prepare(tx)
    new = [(queue, job) for queue, each in settled.items() for job in each.stored]
    keys = iter(_store_new(tx, [queue for queue, _ in new], [job for _, job in new], how, tokens))
    answers: dict[int, tuple[int, PushOutcome]] = {}
    for queue, its in places.items():
        found = settled[queue].finish(tx, [next(keys) for _ in settled[queue].stored])
        answers.update(zip(its, zip(found, settled[queue].outcomes, strict=True), strict=True))
    return [answers[place][0] for place in range(len(jobs))], [answers[place][1] for place in range(len(jobs))]


def _places(queues: Sequence[str]) -> dict[str, list[int]]:
    """Where in a push the jobs of each queue stand."""
    places: dict[str, list[int]] = {}
    for place, queue in enumerate(queues):
        places.setdefault(queue, []).append(place)
    return places


def _store_new(
    tx: Transaction, queues: Sequence[str], jobs: Sequence[NewJob], how: Storing, tokens: Sequence[Tokens | None]
) -> Sequence[int]:
    """Stores jobs whose unique keys are free."""
    places = _places(queues)
    found = parents.of(tx, jobs, how.depth_max)
    for queue, its in places.items():
        tx.queue(queue)
        if any((has := jobs[place].settings) and (has.group_id or has.limit_key) for place in its):
            turns.begun_round(tx, queue)  # Before the first of them gets its turn, so that all count from one round.
    for taken in tokens:
        _take_tokens(tx, taken)
    if not jobs:
        return ()
    keys = tx.allocate(len(jobs))
    for queue, its in places.items():
        its_keys = keys if len(places) == 1 else [keys[place] for place in its]
        _store_plain(tx, queue, its_keys, [jobs[place] for place in its])
        batch = Batch(queue, its_keys, [jobs[place] for place in its], [found[place] for place in its])
        _store_with_settings(tx, batch, is_held=how.is_held)
    if how.waiting:
        whole_flows.wait_for_more(tx, [key for key, _ in how.waiting], len(keys))
        insert.insert_parents(tx, [(key, member, policy, None, None) for key, policy in how.waiting for member in keys])
    _join(tx, keys, queues, jobs, found)
    return keys


class PushUnique(Struct, frozen=True):
    """A push that tells what it has done: gives the job of each push, and its outcome."""

    push: Push

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> tuple[list[int], list[PushOutcome]]:
        queue, jobs, depth_max = self.push.queue, self.push.jobs, self.push.depth_max
        tokens = [_require_open(tx, queue, len(jobs))]
        return store_unique(tx, [queue] * len(jobs), jobs, Storing(depth_max), tokens)


class Batch(NamedTuple):
    """New jobs of one queue, with their keys and their stored parents."""

    queue: str
    keys: Sequence[int]
    jobs: Sequence[NewJob]
    parents: Sequence[Parents]


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


def _store_plain(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> None:
    plain = [(key, job) for key, job in zip(keys, jobs, strict=True) if job.settings is None]
    if plain:
        plain_keys = keys if len(plain) == len(jobs) else [key for key, _ in plain]
        _store_all_plain(tx, queue, plain_keys, [job for _, job in plain])


def _store_all_plain(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> None:
    store = insert.insert_unkeyed if tx.queue(queue).limits & HAS_KEYS else insert.insert_plain
    store(tx, _plain_rows(tx, queue, keys, jobs))
    _note(tx, queue, WAITING, keys)


def _plain_rows(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> list[tuple[Any, ...]]:
    rank = turns.own_turn(tx, queue)
    return [(key, queue, job.name, job.data_json, job.priority, rank) for key, job in zip(keys, jobs, strict=True)]


def _store_with_settings(tx: Transaction, batch: Batch, *, is_held: bool) -> None:
    queue = batch.queue
    rows, keyed_rows, tags = [], [], []
    no_key = "" if tx.queue(queue).limits & HAS_KEYS else None
    given: dict[Any, int] = {}
    stored: dict[int, list[int]] = {}
    for key, job, its_parents in zip(batch.keys, batch.jobs, batch.parents, strict=True):
        settings = job.settings
        if settings is None:
            continue
        rank = turns.rank(tx, queue, key, job.priority, settings, given)
        row, state = _row(tx, queue, key, job, settings, rank, _blocked_by(settings, its_parents, is_held))
        limit_key = no_key if settings.limit_key is None else settings.limit_key
        if limit_key is None:
            rows.append(row)
        else:
            keyed_rows.append((*row, limit_key))
        stored.setdefault(state, []).append(key)
        tags += [(tag, key) for tag in settings.tags]
    if rows or keyed_rows:
        insert.insert(tx, rows)
        insert.insert_keyed(tx, keyed_rows)
        insert.insert_tags(tx, tags)
        for state, keys in stored.items():
            _note(tx, batch.queue, state, _as_range(keys))


def _blocked_by(settings: Settings, its_parents: Parents, is_held: bool) -> tuple[int | None, int]:
    """How much a new job waits for (None: it never did), and the bits of `on_finish` that say so."""
    if is_held:
        return 1, HELD
    if not settings.inner and not its_parents.states:
        return None, 0
    blocked_by = len(settings.inner) + its_parents.unfinished
    if settings.policy != ONLY:
        return blocked_by, 0
    if its_parents.have_failed:
        return blocked_by, SAW_FAILURE
    return blocked_by or 1, 0  # All have completed: it is stored as if one had not, and skipped at once by `_join`.


def _row(
    tx: Transaction, queue: str, key: int, job: NewJob, settings: Settings, rank: int, blocked: tuple[int | None, int]
) -> tuple[tuple[Any, ...], int]:
    """The row of a job, and the state that it begins in."""
    blocked_by, on_finish = blocked
    run_us = settings.run_us if settings.delay_us is None else tx.now_us + settings.delay_us
    state = BLOCKED if blocked_by else WAITING if run_us is None else DELAYED
    ttl_ms = settings.extras.ttl_ms
    expires_us = None if ttl_ms is None else tx.now_us + ttl_ms * 1_000
    if run_us is not None and state == DELAYED:
        tx.due(run_us)
    if expires_us is not None:
        tx.due(expires_us)
    on_finish |= REMOVE_ON_COMPLETE if settings.extras.remove_on_complete else 0
    on_finish |= HAS_CHILDREN if settings.has_children else 0
    on_finish |= FOLLOW_UPS if settings.has_follow_ups else 0
    row = (
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
        on_finish,
    )
    return row, state


def _join(
    tx: Transaction, keys: Sequence[int], queues: Sequence[str], jobs: Sequence[NewJob], found: Sequence[Parents]
) -> None:
    """Stores who waits for whom, and skips those who wait for a failure that has not happened and will not."""
    edges: list[tuple[int, int, int, str | None, str | None]] = []
    skipped: dict[int, str] = {}
    for key, queue, job, its_parents in zip(keys, queues, jobs, found, strict=True):
        settings = job.settings
        if settings is None or not (settings.inner or its_parents.states):
            continue
        policy = settings.policy
        edges += [(key, parent, policy, None, None) for parent in its_parents.states]
        edges += [(key, keys[inner.place], policy, jobs[inner.place].ref, inner.binds) for inner in settings.inner]
        if policy == ONLY and not settings.inner and not its_parents.unfinished and not its_parents.have_failed:
            skipped[key] = queue
    if edges:
        insert.insert_parents(tx, edges)
        insert.mark_parents(tx, list({parent for its_parents in found for parent in its_parents.states}))
    if skipped:
        flows.skip(tx, skipped)


def _note(tx: Transaction, queue: str, state: int, keys: Sequence[int]) -> None:
    tx.announce(Change(Event.PUSH, queue, keys, None, state))
    if state == WAITING:
        tx.wake(queue, len(keys))


def _as_range(keys: Sequence[int]) -> Sequence[int]:
    """Consecutive keys as a range, which the event log stores as two numbers."""
    return range(keys[0], keys[-1] + 1) if keys[-1] - keys[0] + 1 == len(keys) else keys
