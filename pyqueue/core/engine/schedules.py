"""The life of a schedule: made, changed, paused, resumed, removed, and kept in step with the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Struct

from pyqueue.core.definition import edited
from pyqueue.core.errors import ScheduleNotFound
from pyqueue.core.schedule import AT_ONCE, Definition, Origin, Schedule, ScheduleSync
from pyqueue.core.store import schedules
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.validate import shown


class CreateSchedule(Struct, frozen=True):
    """Makes a schedule, or gives one of that name another definition; its history and its pause stay.

    `fires_at_once`: a new one fires at the next pass, as RustQueue's do, and not first when its timing says so.
    """

    name: str
    definition: Definition
    fires_at_once: bool = False

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Schedule:
        existing = schedules.get(tx, self.name)
        at_once = self.fires_at_once and existing is None
        return _define(tx, self.name, self.definition, Origin.HAND, existing, at_once=at_once)


class EditSchedule(Struct, frozen=True):
    """Changes some of what a schedule does.

    Raises:
        ScheduleNotFound. ValidationError: a change does not fit, or not to the rest.
    """

    name: str
    changes: Mapping[str, Any]

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Schedule:
        existing = _require(schedules.get(tx, self.name), self.name)
        return _define(tx, self.name, edited(existing, self.changes), existing.origin, existing)


class DeleteSchedule(Struct, frozen=True):
    """Removes a schedule; the jobs it has pushed stay. Gives whether there was one."""

    name: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> bool:
        return schedules.delete(tx, self.name)


class PauseSchedule(Struct, frozen=True):
    """Lets no moment fire until `ResumeSchedule`. Raises ScheduleNotFound."""

    name: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Schedule:
        schedules.pause(tx, self.name)
        return _require(schedules.get(tx, self.name), self.name)


class ResumeSchedule(Struct, frozen=True):
    """Ends a pause; what becomes of the moments that passed meanwhile says the misfire policy.

    One that has pushed all its jobs has no next moment, so it does not fire again. Raises ScheduleNotFound.
    """

    name: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Schedule:
        schedules.resume(tx, self.name)
        schedule = _require(schedules.get(tx, self.name), self.name)
        _note_due(tx, schedule.next_us)
        return schedule


class SyncSchedules(Struct, frozen=True):
    """Makes the schedules that decorators have made what the code says, and leaves all others alone.

    A schedule that is no longer in the code is removed if its queue is one of `queues`, those that this
    program's tasks push to: another program on the same database has queues of its own.
    """

    definitions: Mapping[str, Definition]
    queues: frozenset[str]

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> ScheduleSync:
        created, changed, by_hand = [], [], []
        for name, definition in self.definitions.items():
            existing = schedules.get(tx, name)
            if existing is not None and existing.origin == Origin.HAND:
                by_hand.append(name)
                continue
            if existing is None:
                created.append(name)
            elif existing.definition != definition:
                changed.append(name)
            else:
                continue
            _define(tx, name, definition, Origin.CODE, existing)
        gone = [
            name
            for name, queue in schedules.made_in_code(tx).items()
            if queue in self.queues and name not in self.definitions
        ]
        for name in gone:
            schedules.delete(tx, name)
        return ScheduleSync(tuple(created), tuple(changed), tuple(gone), tuple(by_hand))


def find(tx: Transaction, name: str) -> Schedule:
    """The schedule of this name.

    Raises:
        ScheduleNotFound.
    """
    return _require(schedules.look_at(tx, name), name)


def _require(schedule: Schedule | None, name: str) -> Schedule:
    if schedule is None:
        raise ScheduleNotFound(f"no schedule is called {shown(name)}; see list_schedules() for those there are.")
    return schedule


def _define(
    tx: Transaction, name: str, definition: Definition, origin: str, existing: Schedule | None, *, at_once: bool = False
) -> Schedule:
    """Stores the definition, with the next moment where that has changed."""
    next_us: int | None
    anchor_us = tx.now_us if definition.start_us is None else definition.start_us
    last_due_us = 0 if existing is None or existing.last_due_us is None else existing.last_due_us
    if existing is not None and definition.has_timing_of(existing):
        anchor_us = existing.anchor_us
    if existing is not None and definition.has_timing_of(existing) and existing.next_us is not None:
        next_us = existing.next_us
    else:
        # Behind the last moment that has fired: the clock of who fired it may have been ahead of ours.
        next_us = AT_ONCE if at_once else definition.timetable(anchor_us).next_after(max(tx.now_us, last_due_us))
    executions = 0 if existing is None else existing.execution_count
    if definition.max_executions is not None and executions >= definition.max_executions:
        next_us = None
    schedules.put(tx, name, definition, origin=origin, anchor_us=anchor_us, next_us=next_us)
    _note_due(tx, next_us)
    return _require(schedules.get(tx, name), name)


def _note_due(tx: Transaction, next_us: int | None) -> None:
    if next_us is not None:
        tx.due(next_us)
