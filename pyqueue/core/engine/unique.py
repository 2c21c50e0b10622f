"""Pushes with unique keys that do more than refuse: ignored, replacing what waits, or once in a period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pyqueue.core import ids, validate
from pyqueue.core.errors import DuplicateKey
from pyqueue.core.follows import FOLLOW_UPS, REMOVE_ON_COMPLETE
from pyqueue.core.options import NewJob, Settings
from pyqueue.core.states import BLOCKED, DELAYED, STATES
from pyqueue.core.store import unique
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.store.unique import Holder
from pyqueue.core.transitions import Event
from pyqueue.core.uniqueness import REPLACING, PushOutcome, Unique, UniqueMode


class New(NamedTuple):
    """A push that stores a job: the one at this place of `Settled.stored`."""

    place: int


class Settled:
    """What each of some pushes comes to."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.stored: list[NewJob] = []
        self.outcomes: list[PushOutcome] = []
        self._targets: list[New | Holder] = []
        self._of_key: dict[str, New | Holder] = {}
        self._replaced: dict[Holder, NewJob] = {}
        self._yields: list[int] = []

    def prepare(self, tx: Transaction) -> None:
        """Takes their keys from jobs that give them up, before others are stored with them."""
        if self._yields:
            unique.give_up(tx, self._yields)

    def finish(self, tx: Transaction, keys: Sequence[int]) -> list[int]:
        """Once `stored` are stored under `keys`: does the rest, and gives the job of each push, in order."""
        for holder, job in self._replaced.items():
            _replace(tx, self.queue, holder, job)
        periods = [
            (self.queue, str(job.settings.unique_key), key, tx.now_us + period_us)
            for key, job in zip(keys, self.stored, strict=True)
            if job.settings and (period_us := _period_us(job.settings)) is not None
        ]
        if periods:
            unique.remember(tx, periods)
        return [keys[target.place] if isinstance(target, New) else target.key for target in self._targets]

    def add(self, tx: Transaction, job: NewJob, live: Holder | None, recent: Holder | None) -> None:
        """Decides about the next push, after those before it."""
        settings = job.settings
        unique_key = None if settings is None else settings.unique_key
        if settings is None or unique_key is None:
            self._store(job, None)
        elif unique_key in self._of_key:
            self._meet_own(job, settings, unique_key)
        elif (holder := _counting(settings.unique, live, recent)) is not None:
            self._meet(tx, job, settings, unique_key, holder)
        else:
            if live is not None:
                self._yields.append(live.key)
            self._store(job, unique_key)

    def _store(self, job: NewJob, unique_key: str | None) -> None:
        target = New(len(self.stored))
        self.stored.append(job)
        self._note(target, PushOutcome.PUSHED)
        if unique_key is not None:
            self._of_key[unique_key] = target

    def _meet(self, tx: Transaction, job: NewJob, settings: Settings, unique_key: str, holder: Holder) -> None:
        mode = _mode(settings)
        if mode is UniqueMode.REJECT or (mode in REPLACING and holder.state > BLOCKED):
            raise DuplicateKey(
                f"unique key {validate.shown(unique_key)} is held by job {tx.text_of(holder.key)} of queue "
                f"{self.queue!r}, which is {STATES[holder.state]}; wait for its end, cancel it, or use another key."
            )
        if mode in REPLACING:
            self._replaced[holder] = job
            self._of_key[unique_key] = holder
        self._note(holder, PushOutcome.REPLACED if mode in REPLACING else PushOutcome.IGNORED)

    def _meet_own(self, job: NewJob, settings: Settings, unique_key: str) -> None:
        """The key was taken by a push before it in the same batch."""
        target, mode = self._of_key[unique_key], _mode(settings)
        if mode is UniqueMode.REJECT:
            raise DuplicateKey(
                f"unique key {validate.shown(unique_key)} stands twice in one batch; expected each key once."
            )
        if mode not in REPLACING:
            return self._note(target, PushOutcome.IGNORED)
        if isinstance(target, New):
            self.stored[target.place] = job
        else:
            self._replaced[target] = job
        return self._note(target, PushOutcome.REPLACED)

    def _note(self, target: New | Holder, outcome: PushOutcome) -> None:
        self._targets.append(target)
        self.outcomes.append(outcome)


def settle(tx: Transaction, queue: str, jobs: Sequence[NewJob]) -> Settled:
    """Decides what each push comes to; writes nothing.

    Raises:
        DuplicateKey: a key is held, and its push wants to be refused then.
    """
    keyed = [job.settings for job in jobs if job.settings and job.settings.unique_key]
    live = unique.holders(tx, queue, [str(settings.unique_key) for settings in keyed])
    periodic = [str(settings.unique_key) for settings in keyed if _period_us(settings) is not None]
    recent = unique.recent(tx, queue, periodic) if periodic else {}
    settled = Settled(queue)
    for job in jobs:
        unique_key = job.settings.unique_key if job.settings else None
        settled.add(tx, job, live.get(unique_key or ""), recent.get(unique_key or ""))
    return settled


def _mode(settings: Settings) -> UniqueMode:
    return UniqueMode.REJECT if settings.unique is None else settings.unique.mode


def _period_us(settings: Settings) -> int | None:
    """How long the push holds its key whatever becomes of its job; a debounce means its longest wait by it."""
    if settings.unique is None or settings.unique.mode in REPLACING:
        return None
    return settings.unique.for_us


def _counting(rule: Unique | None, live: Holder | None, recent: Holder | None) -> Holder | None:
    """The job that stands in the way, if one does: the live one, or else the one of the period."""
    for holder in (live, recent):
        if holder is not None and (rule is None or holder.state in rule.states):
            return holder
    return None


def _replace(tx: Transaction, queue: str, holder: Holder, job: NewJob) -> None:
    settings = job.settings
    assert settings is not None
    ttl_ms = settings.extras.ttl_ms
    expires_us = None if ttl_ms is None else tx.now_us + ttl_ms * 1_000
    run_us = _run_us(tx, holder, settings)
    state = holder.state if run_us is None or holder.state == BLOCKED else DELAYED
    values = (
        job.name,
        job.data_json,
        job.priority,
        settings.max_attempts,
        settings.backoff,
        settings.backoff_delay_ms,
        settings.timeout_ms,
        expires_us,
        settings.custom_id,
        settings.tags_json,
        settings.metadata_json,
        settings.extras_json,
        (REMOVE_ON_COMPLETE if settings.extras.remove_on_complete else 0)
        | (FOLLOW_UPS if settings.has_follow_ups else 0),
        state,
        run_us,
    )
    unique.replace(tx, holder.key, values, tags=settings.tags)
    tx.announce(Change(Event.REPLACE, queue, (holder.key,), holder.state, state))
    for due_us in (run_us, expires_us):
        if due_us is not None:
            tx.due(due_us)


def _run_us(tx: Transaction, holder: Holder, settings: Settings) -> int | None:
    """When a debounced job may run: after its delay from now, but no later than its period after the first push."""
    if settings.unique is None or settings.unique.mode is not UniqueMode.DEBOUNCE:
        return None
    run_us = settings.run_us if settings.delay_us is None else tx.now_us + settings.delay_us
    if run_us is not None and settings.unique.for_us is not None:
        run_us = min(run_us, ids.created_us(holder.key) + settings.unique.for_us)
    return run_us
