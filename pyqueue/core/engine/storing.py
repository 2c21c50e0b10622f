"""Storing new jobs whose names, keys and queues have been looked at: their rows, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pyqueue.core.engine import admission, flows, parents, turns
from pyqueue.core.engine.admission import Tokens
from pyqueue.core.engine.parents import Parents
from pyqueue.core.follows import FOLLOW_UPS, HAS_CHILDREN, HELD, ONLY, REMOVE_ON_COMPLETE, SAW_FAILURE
from pyqueue.core.options import NewJob, Settings
from pyqueue.core.states import BLOCKED, DELAYED, WAITING
from pyqueue.core.store import insert, whole_flows
from pyqueue.core.store.limits import HAS_KEYS
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event


class Storing(NamedTuple):
    """How jobs are stored beside what they say themselves; see `PushFlow`."""

    depth_max: int | None = None
    is_held: bool = False
    waiting: Sequence[tuple[int, int]] = ()


AS_THEY_ARE: Final = Storing()


def places_of(queues: Sequence[str]) -> dict[str, list[int]]:
    """Where in a push the jobs of each queue stand."""
    places: dict[str, list[int]] = {}
    for place, queue in enumerate(queues):
        places.setdefault(queue, []).append(place)
    return places


def store_new(
    tx: Transaction, queues: Sequence[str], jobs: Sequence[NewJob], how: Storing, tokens: Sequence[Tokens | None]
) -> Sequence[int]:
    """Stores jobs whose unique keys are free."""
    places = places_of(queues)
    found = parents.of(tx, jobs, how.depth_max)
    for queue, its in places.items():
        tx.queue(queue)
        if any((has := jobs[place].settings) and (has.group_id or has.limit_key) for place in its):
            turns.begun_round(tx, queue)  # Before the first of them gets its turn, so that all count from one round.
    for taken in tokens:
        take_tokens(tx, taken)
    if not jobs:
        return ()
    keys = tx.allocate(len(jobs))
    for queue, its in places.items():
        its_keys = keys if len(places) == 1 else [keys[place] for place in its]
        store_plain(tx, queue, its_keys, [jobs[place] for place in its])
        batch = Batch(queue, its_keys, [jobs[place] for place in its], [found[place] for place in its])
        _store_with_settings(tx, batch, is_held=how.is_held)
    if how.waiting:
        whole_flows.wait_for_more(tx, [key for key, _ in how.waiting], len(keys))
        insert.insert_parents(tx, [(key, member, policy, None, None) for key, policy in how.waiting for member in keys])
    _join(tx, keys, queues, jobs, found)
    return keys


class Batch(NamedTuple):
    """New jobs of one queue, with their keys and their stored parents."""

    queue: str
    keys: Sequence[int]
    jobs: Sequence[NewJob]
    parents: Sequence[Parents]


def store_plain(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> None:
    """Stores those of the jobs that use no option but the priority."""
    plain = [(key, job) for key, job in zip(keys, jobs, strict=True) if job.settings is None]
    if plain:
        plain_keys = keys if len(plain) == len(jobs) else [key for key, _ in plain]
        store_all_plain(tx, queue, plain_keys, [job for _, job in plain])


def store_all_plain(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> None:
    """`store_plain` where all of them are so."""
    store = insert.insert_unkeyed if tx.queue(queue).limits & HAS_KEYS else insert.insert_plain
    store(tx, plain_rows(tx, queue, keys, jobs))
    note(tx, queue, WAITING, keys)


def plain_rows(tx: Transaction, queue: str, keys: Sequence[int], jobs: Sequence[NewJob]) -> list[tuple[Any, ...]]:
    """Their rows: only what differs from the defaults."""
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
            note(tx, batch.queue, state, as_range(keys))


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


def note(tx: Transaction, queue: str, state: int, keys: Sequence[int]) -> None:
    """Says that these jobs are there now."""
    tx.announce(Change(Event.PUSH, queue, keys, None, state))
    if state == WAITING:
        tx.wake(queue, len(keys))


def as_range(keys: Sequence[int]) -> Sequence[int]:
    """Consecutive keys as a range, which the event log stores as two numbers."""
    return range(keys[0], keys[-1] + 1) if keys[-1] - keys[0] + 1 == len(keys) else keys


def take_tokens(tx: Transaction, tokens: Tokens | None) -> None:
    """Pays for them, where pushes are limited."""
    if tokens is not None:
        admission.take(tx, tokens)
