"""The end of a run: acknowledged, failed, or given back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

import msgspec
from msgspec import Struct

from pyqueue.core.backoff import BACKOFFS, next_delay_ms, with_jitter_ms
from pyqueue.core.clock import to_datetime
from pyqueue.core.engine import flows, follow_ups, slots
from pyqueue.core.errors import InvalidState, LeaseLost, PyQueueError, StateError, no_job
from pyqueue.core.follows import FOLLOW_UPS, HAS_CHILDREN, REMOVE_ON_COMPLETE
from pyqueue.core.job import NO_EXTRAS, Extras, FailResult
from pyqueue.core.states import ACTIVE, CANCELLED, COMPLETED, DELAYED, DLQ, STATES, WAITING
from pyqueue.core.store import finish
from pyqueue.core.store import flows as dependencies
from pyqueue.core.store.finish import Completed, Run
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event

_draw: Final = random.Random()


class Ref(NamedTuple):
    """A job as its worker names it: by id text or key, with the lease it holds, or None for "whoever runs it"."""

    job: str | int
    lease: int | None

    def key(self, tx: Transaction) -> int:
        return self.job if isinstance(self.job, int) else tx.key_of(self.job)

    def id(self, tx: Transaction) -> str:
        return self.job if isinstance(self.job, str) else tx.text_of(self.job)


# A job by id text or key, the lease its worker holds (None: "whoever runs it"), and its result. A plain tuple, since
# batches are made of them.
Acked = tuple[str | int, int | None, str | None]


class Ack(Struct, frozen=True):
    """Completes jobs, each by itself: gives None, or the error it was refused with, for each, in order."""

    items: tuple[Acked, ...]

    durable: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    def only(self, places: Sequence[int]) -> Ack:
        """The same for some of the items."""
        return Ack(tuple(self.items[place] for place in places))

    def run(self, tx: Transaction) -> list[PyQueueError | None]:
        return _acknowledge(tx, self.items)

    @classmethod
    def run_together(cls, tx: Transaction, operations: Sequence[Ack]) -> list[list[PyQueueError | None]]:
        outcomes = iter(_acknowledge(tx, [item for operation in operations for item in operation.items]))
        return [[next(outcomes) for _ in operation.items] for operation in operations]


def _acknowledge(tx: Transaction, items: Sequence[Acked]) -> list[PyQueueError | None]:
    outcomes: list[PyQueueError | None] = [None] * len(items)
    rows: dict[int, tuple[int, int | None, str | None]] = {}
    positions: list[int | None] = []
    for position, (job, lease, result) in enumerate(items):
        try:
            key = job if isinstance(job, int) else tx.key_of(job)
        except PyQueueError as error:
            outcomes[position] = error
            positions.append(None)
            continue
        positions.append(key)
        if key not in rows:
            rows[key] = key, lease, result
    wanted = list(rows.values())
    completed = finish.complete_plain(tx, wanted) if wanted and not tx.on_postgres else {}
    rest = [] if len(completed) == len(rows) else [row for row in wanted if row[0] not in completed]
    done = finish.complete(tx, rest) if rest else {}
    completed |= {key: each.queue for key, each in done.items()}
    rich = {key: each for key, each in done.items() if each.on_finish or each.slot is not None}
    _note_completed(tx, completed)
    if rich:
        _follow(tx, rich)
    if len(completed) == len(items):
        return outcomes
    for position, known_key in enumerate(positions):
        # Each completed job is taken once: a second ack of it in the same call is refused like a later one.
        if known_key is not None and completed.pop(known_key, None) is None:
            job, lease, result = items[position]
            outcomes[position] = _acknowledge_again(tx, known_key, Ref(job, lease), result)
    return outcomes


def _note_completed(tx: Transaction, completed: dict[int, str]) -> None:
    queues = set(completed.values())
    if len(queues) == 1:
        tx.announce(Change(Event.ACK, queues.pop(), list(completed), ACTIVE, COMPLETED))
        return
    by_queue: dict[str, list[int]] = {}
    for key, queue in completed.items():
        by_queue.setdefault(queue, []).append(key)
    for queue, keys in by_queue.items():
        tx.announce(Change(Event.ACK, queue, keys, ACTIVE, COMPLETED))


def _acknowledge_again(tx: Transaction, key: int, ref: Ref, result: str | None) -> PyQueueError | None:
    """Why a job was not completed; of two acks of it in one call, the second may be the one with the right lease."""
    completed = finish.complete(tx, [(key, ref.lease, result)])
    if not completed:
        return refusal(tx, key, ref)
    _note_completed(tx, {key: completed[key].queue})
    _follow(tx, completed)
    return None


def _follow(tx: Transaction, completed: Mapping[int, Completed]) -> None:
    """Does what follows from the completion of jobs."""
    children, follows, removed = (
        [key for key, done in completed.items() if done.on_finish & wanted]
        for wanted in (HAS_CHILDREN, FOLLOW_UPS, REMOVE_ON_COMPLETE)
    )
    for done in completed.values():
        slots.succeeded(tx, done.queue, done.slot)
    if children:
        flows.parents_completed(tx, children)
    for key in follows:
        follow_ups.push(tx, key)
    if removed:
        remove(tx, removed, may_have_children=bool(children or follows))


def refusal(tx: Transaction, key: int, ref: Ref) -> PyQueueError:
    """Why a worker's word about this job is not taken."""
    run = finish.run_of(tx, key)
    if run is None:
        return no_job(ref.id(tx))
    if run.state != ACTIVE:
        found = STATES[run.state].value.capitalize()
        return InvalidState(f"job {ref.id(tx)} is {found}; expected Active. Its run is over, so this changes nothing.")
    return LeaseLost(
        f"job {ref.id(tx)} was handed out again (lease {run.lease_token}; given {ref.lease}); "
        "the later run decides. Send heartbeats, or pull with a longer lease_ms."
    )


class Fail(Struct, frozen=True):
    """Ends a run as a failed attempt: another try later, or the dead letters; with `discard` as cancelled.

    Raises:
        JobNotFound, InvalidState, LeaseLost.
    """

    ref: Ref
    error: str
    retry: bool = True
    delay_ms: int | None = None
    discard: bool = False

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> FailResult:
        key = self.ref.key(tx)
        run = require_run(tx, key, self.ref)
        return fail_run(
            tx, key, run, self.error, Event.FAIL, retry=self.retry, delay_ms=self.delay_ms, discard=self.discard
        )


class FailMany(Struct, frozen=True):
    """`Fail` for several jobs, each by itself: gives what became of each, or why it was refused, in order."""

    fails: tuple[Fail, ...]

    durable: ClassVar[bool] = True

    def only(self, places: Sequence[int]) -> FailMany:
        """The same for some of the jobs."""
        return FailMany(tuple(self.fails[place] for place in places))

    def run(self, tx: Transaction) -> list[FailResult | PyQueueError]:
        return [_fail_one(tx, fail) for fail in self.fails]


def _fail_one(tx: Transaction, fail: Fail) -> FailResult | PyQueueError:
    try:
        return fail.run(tx)
    except StateError as error:  # Refused before its first write: nothing of it needs undoing.
        return error


def require_run(tx: Transaction, key: int, ref: Ref) -> Run:
    """The run that a worker speaks for."""
    run = finish.run_of(tx, key)
    if run is None or run.state != ACTIVE or ref.lease not in (None, run.lease_token):
        raise refusal(tx, key, ref)
    return run


def fail_run(
    tx: Transaction,
    key: int,
    run: Run,
    error: str,
    event: Event,
    *,
    retry: bool = True,
    delay_ms: int | None = None,
    discard: bool = False,
) -> FailResult:
    """Applies a failed attempt, whoever noticed it, and all that follows from it."""
    extras = NO_EXTRAS if run.extras is None else msgspec.json.decode(run.extras, type=Extras)
    outcome = decide_failure(tx.now_us, run, extras, retry=retry, delay_ms=delay_ms, discard=discard)
    finish.end_run(tx, key, run, state=outcome.state, run_us=outcome.run_us, attempt=run.attempt + 1, error=error)
    finish.record_attempt(tx, key, run, error)
    tx.announce(Change(event, run.queue, (key,), ACTIVE, outcome.state, error=error, worker_id=run.worker_id))
    if outcome.state == CANCELLED:
        slots.freed(tx, run.queue, run.slot)
    else:
        slots.failed(tx, run.queue, run.slot, error)
    _after_run(tx, key, run, outcome)
    if outcome.state == DLQ and extras.remove_on_fail:
        remove(tx, [key])
    return FailResult(
        STATES[outcome.state],
        outcome.state in (WAITING, DELAYED),
        None if outcome.run_us is None else to_datetime(outcome.run_us),
    )


class Outcome(NamedTuple):
    """Where a job goes when its run ends without success."""

    state: int
    run_us: int | None


def decide_failure(
    now_us: int, run: Run, extras: Extras, *, retry: bool, delay_ms: int | None, discard: bool = False
) -> Outcome:
    """Where a job goes after a failed attempt. Pure but for the draw of the jitter."""
    if discard or run.cancel_us is not None:
        return Outcome(CANCELLED, None)
    attempt = run.attempt + 1
    if not retry or attempt >= run.max_attempts:
        return Outcome(DLQ, None)
    if delay_ms is None:
        delay_ms = next_delay_ms(attempt, kind=BACKOFFS[run.backoff], base_ms=run.backoff_delay_ms)
        if extras.backoff_jitter:
            delay_ms = with_jitter_ms(delay_ms, _draw)
    return _later(now_us, delay_ms)


def _later(now_us: int, delay_ms: int) -> Outcome:
    return Outcome(DELAYED, now_us + delay_ms * 1_000) if delay_ms > 0 else Outcome(WAITING, None)


def _after_run(tx: Transaction, key: int, run: Run, outcome: Outcome) -> None:
    if outcome.state == WAITING:
        tx.wake(run.queue, 1)
    elif outcome.run_us is not None:
        tx.due(outcome.run_us)
    elif run.on_finish & HAS_CHILDREN:
        flows.parents_ended(tx, {key: outcome.state})


class Release(Struct, frozen=True):
    """Gives a job back unfinished: no attempt is counted. One whose cancellation was asked for is cancelled.

    Raises:
        JobNotFound, InvalidState, LeaseLost.
    """

    ref: Ref
    delay_ms: int = 0

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        key = self.ref.key(tx)
        run = require_run(tx, key, self.ref)
        outcome = Outcome(CANCELLED, None) if run.cancel_us is not None else _later(tx.now_us, self.delay_ms)
        finish.end_run(tx, key, run, state=outcome.state, run_us=outcome.run_us, attempt=run.attempt, error=None)
        tx.announce(Change(Event.RELEASE, run.queue, (key,), ACTIVE, outcome.state, worker_id=run.worker_id))
        slots.freed(tx, run.queue, run.slot)
        _after_run(tx, key, run, outcome)


def remove(tx: Transaction, keys: Sequence[int], *, may_have_children: bool = True) -> int:
    """Deletes finished or pending jobs with all that belongs to them; gives how many there were."""
    if may_have_children:
        dependencies.keep_results(tx, keys)
    deleted = finish.delete(tx, keys)
    together: dict[tuple[str, int], list[int]] = {}
    for key, queue, state in deleted:
        together.setdefault((queue, state), []).append(key)
    for (queue, state), keys_of_queue in together.items():
        tx.announce(Change(Event.DELETE, queue, keys_of_queue, state, None))
    return len(deleted)
