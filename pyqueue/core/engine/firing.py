"""Firing: a moment of a schedule becomes a job, once, however many processes look.

The push of the job, the record of the moment (unique by schedule and moment) and the schedule's move to its
next moment are one transaction: a crash leaves all of it or nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple

from msgspec import Struct

from pyqueue.core import limits
from pyqueue.core.clock import to_datetime
from pyqueue.core.engine.push import Push
from pyqueue.core.engine.schedules import find
from pyqueue.core.errors import PyQueueError, StorageError, ValidationError
from pyqueue.core.options import NewJob, job_of_json
from pyqueue.core.schedule import AT_ONCE, Misfire, Overlap, Schedule, ScheduleRun
from pyqueue.core.states import ACTIVE
from pyqueue.core.store import schedules
from pyqueue.core.store.transaction import Transaction

# How long a schedule waits that cannot be read here: its zone is not known on this machine, say, but on another.
_UNREADABLE_US: Final = 60_000_000


class Fired(NamedTuple):
    """What a firing did: the runs, the schedules with an error that they did not have before, whether there is more."""

    runs: list[ScheduleRun]
    new_errors: list[tuple[str, str]]
    is_full: bool


class Fire(Struct, frozen=True):
    """Fires the schedules of which a moment has come, at most `limits.FIRE_CHUNK` of them."""

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Fired:
        due = schedules.due(tx, limits.FIRE_CHUNK)
        fired = Fired([], [], len(due) == limits.FIRE_CHUNK)
        for schedule in due:
            runs, error = _fire(tx, schedule)
            fired.runs.extend(runs)
            if error is not None and error != schedule.last_error:
                fired.new_errors.append((schedule.name, error))
        return fired


class Trigger(Struct, frozen=True):
    """Pushes a job of a schedule now, paused or not, beside its timing; gives the job's key.

    Counts towards nothing and moves nothing. Raises ScheduleNotFound, and what a push raises.
    """

    name: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> int:
        schedule = find(tx, self.name)
        [key] = Push(schedule.queue, (_job(schedule, tx.now_us),)).run(tx)
        due_us = tx.now_us
        while not schedules.begin_run(tx, schedule.name, due_us, is_manual=True):
            due_us += 1
        schedules.end_run(tx, schedule.name, due_us, key, None)
        schedules.forget_runs(tx, schedule.name, limits.SCHEDULE_RUNS_KEPT)
        schedules.note_trigger(tx, schedule.name, key)
        tx.fired(_run(tx, schedule, due_us, key, None, is_manual=True))
        return key


def is_due(tx: Transaction) -> bool:
    """Whether `Fire` would find work; one look at an index."""
    due_us = schedules.next_due_us(tx)
    return due_us is not None and due_us <= tx.now_us


class _Outcome(NamedTuple):
    """What came of a moment: a job, an error, or neither because a policy passed it over."""

    key: int | None = None
    error: str | None = None
    passed_over: str | None = None


def _fire(tx: Transaction, schedule: Schedule) -> tuple[list[ScheduleRun], str | None]:
    """The runs, and the error in which the schedule is left."""
    anchor_us = schedule.anchor_us
    if schedule.next_us == AT_ONCE and schedule.start_us is None:
        anchor_us = tx.now_us  # Its interval is counted from its first firing.
    try:
        moments = _moments(schedule, tx.now_us)
        following = schedule.timetable(anchor_us).next_after(max(tx.now_us, moments[-1]))
    except ValidationError as error:
        _postpone(tx, schedule, str(error))
        return [], str(error)
    left = len(moments) if schedule.max_executions is None else schedule.max_executions - schedule.execution_count
    runs, pushed, last_key, last_error = [], 0, None, schedule.last_error
    for due_us in moments:
        if pushed == left or not schedules.begin_run(tx, schedule.name, due_us, is_manual=False):
            continue
        outcome = _push(tx, schedule, due_us)
        pushed += outcome.key is not None
        last_key = outcome.key if outcome.key is not None else last_key
        last_error = outcome.error if outcome.passed_over is None else last_error
        note = outcome.error or outcome.passed_over
        schedules.end_run(tx, schedule.name, due_us, outcome.key, note)
        runs.append(_run(tx, schedule, due_us, outcome.key, note))
        tx.fired(runs[-1])
    schedules.forget_runs(tx, schedule.name, limits.SCHEDULE_RUNS_KEPT)
    schedules.advance(
        tx,
        schedule,
        next_us=None if schedule.max_executions is not None and pushed >= left else following,
        anchor_us=anchor_us,
        pushed=pushed,
        last_due_us=moments[-1],
        last_job_key=last_key,
        last_error=last_error,
    )
    return runs, last_error


def _moments(schedule: Schedule, now_us: int) -> Sequence[int]:
    """The moments to be seen to, in order: at least one."""
    assert schedule.next_us is not None
    if schedule.next_us == AT_ONCE:
        return (now_us,)
    if schedule.misfire == Misfire.BACKFILL:
        return schedule.moments.newest(schedule.next_us - 1, now_us, schedule.backfill_max) or (schedule.next_us,)
    return (schedule.next_us,)


def _push(tx: Transaction, schedule: Schedule, due_us: int) -> _Outcome:
    """Pushes the job of a moment, unless a policy or the queue is against it."""
    late_us = tx.now_us - due_us
    if schedule.misfire == Misfire.SKIP and late_us > limits.MISFIRE_GRACE_MS * 1_000:
        return _Outcome(passed_over=f"missed by {late_us // 1_000_000:,} s, and passed over (misfire: skip)")
    unfinished = [] if schedule.overlap == Overlap.ALLOW else schedules.unfinished(tx, schedule.name)
    if unfinished and schedule.overlap == Overlap.SKIP:
        return _Outcome(passed_over=f"job {tx.text_of(unfinished[-1][0])} has not finished (overlap: skip)")
    if unfinished and unfinished[-1][1] != ACTIVE:
        return _Outcome(passed_over=f"job {tx.text_of(unfinished[-1][0])} is still waiting (overlap: queue)")
    try:
        job = _job(schedule, due_us, after=[tx.text_of(key) for key, _ in unfinished])
        [key] = Push(schedule.queue, (job,)).run(tx)
    except StorageError:
        raise
    except PyQueueError as error:  # A push refuses before it writes, so the transaction is clean.
        return _Outcome(error=str(error))
    return _Outcome(key)


def _job(schedule: Schedule, due_us: int, after: Sequence[str] = ()) -> NewJob:
    """The job of a moment. Its metadata tells the moment; `after`: jobs that must have ended before."""
    options: dict[str, Any] = dict(schedule.job_options or {})
    metadata = options.get("metadata", {})
    if isinstance(metadata, dict):
        moment = {"name": schedule.name, "due_at": to_datetime(due_us)}
        options["metadata"] = {"schedule": moment, **metadata}
    if schedule.jitter_ms:
        options["delay_ms"] = options.get("delay_ms", 0) + random.randint(0, schedule.jitter_ms)
    if after:
        options["depends_on"] = [*options.get("depends_on", ()), *after]
        options["on_parent_failure"] = "run"
    return job_of_json(schedule.job_name, schedule.job_data_json, options)


def _postpone(tx: Transaction, schedule: Schedule, error: str) -> None:
    schedules.advance(
        tx,
        schedule,
        next_us=tx.now_us + _UNREADABLE_US,
        anchor_us=schedule.anchor_us,
        pushed=0,
        last_due_us=None,
        last_job_key=None,
        last_error=error,
    )


def _run(
    tx: Transaction, schedule: Schedule, due_us: int, key: int | None, error: str | None, *, is_manual: bool = False
) -> ScheduleRun:
    return ScheduleRun(
        schedule=schedule.name,
        due_at=to_datetime(due_us),
        fired_at=to_datetime(tx.now_us),
        job_id=None if key is None else tx.text_of(key),
        error=error,
        is_manual=is_manual,
    )
