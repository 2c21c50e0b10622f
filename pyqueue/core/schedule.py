"""Schedules as they cross the border of the engine: rules that push jobs, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypedDict

import msgspec

from pyqueue.core.clock import to_datetime
from pyqueue.core.job import JobOptions
from pyqueue.core.timetable import Timetable, zone_of

_decode: Final = msgspec.json.decode

# The value of `next_us` in a schedule that is to fire at the next pass, whatever its timing says.
AT_ONCE: Final = 0


class Misfire(StrEnum):
    """What becomes of moments that passed while nobody could fire, or while the schedule was paused."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    BACKFILL = "backfill"


class Overlap(StrEnum):
    """What becomes of a moment when a job of an earlier one has not finished."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"


class Origin(StrEnum):
    """Who made a schedule: a person or program by a call, or a decorator in code."""

    HAND = "hand"
    CODE = "code"


class SchedulePolicies(TypedDict, total=False):
    """What a schedule does when its moments come. None means "not given"."""

    job_options: JobOptions | None  # those of each job; all but run_at
    max_executions: int | None  # jobs to push in all
    start_at: datetime | None  # no moment before it
    end_at: datetime | None  # no moment after it
    misfire: Misfire | str | None  # skip | run_once (default) | backfill
    backfill_max: int | None  # for misfire="backfill": the newest so many; default 10
    overlap: Overlap | str | None  # allow (default) | skip | queue
    jitter_ms: int | None  # each job may run up to this much later, drawn anew each time


class ScheduleOptions(SchedulePolicies, total=False):
    """When a schedule fires, and what then happens: the keyword arguments of `create_schedule`.

    Exactly one of `cron_expr` and `every_ms` must be given.
    """

    cron_expr: str | None  # such as "*/5 * * * *"; six fields begin with seconds
    every_ms: int | None  # an interval, counted from `start_at`, or from when the schedule was made
    timezone: str | None  # an IANA name, for cron_expr; default UTC


class ScheduleChanges(ScheduleOptions, total=False):
    """What `edit_schedule` can change. Keys that are not given stay as they are; None goes back to the default."""

    queue: str
    job_name: str
    job_data: Any


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule is to do, checked: times in microseconds, JSON as text."""

    queue: str
    job_name: str
    job_data_json: str
    job_options_json: str | None
    cron_expr: str | None
    every_ms: int | None
    timezone: str | None
    max_executions: int | None
    start_us: int | None
    end_us: int | None
    misfire: str
    backfill_max: int
    overlap: str
    jitter_ms: int

    def timetable(self, anchor_us: int) -> Timetable:
        """Its moments, intervals counted from `anchor_us`."""
        return Timetable(self.cron_expr, self.every_ms, self.timezone, self.start_us, self.end_us, anchor_us)

    def has_timing_of(self, other: Definition) -> bool:
        return self.timetable(0) == other.timetable(0)


class Schedule(Definition, frozen=True, dict=True, kw_only=True):
    """A schedule as it was when it was read; it never changes."""

    name: str
    origin: str
    anchor_us: int
    paused_us: int | None
    execution_count: int  # jobs pushed for its moments
    last_run_us: int | None
    next_us: int | None
    last_due_us: int | None
    last_job_key: int | None
    last_error: str | None
    created_us: int
    updated_us: int

    @cached_property
    def job_data(self) -> Any:
        return _decode(self.job_data_json)

    @cached_property
    def job_options(self) -> dict[str, Any] | None:
        """The options of its jobs, as they were given."""
        return None if self.job_options_json is None else _decode(self.job_options_json)

    @property
    def definition(self) -> Definition:
        """What it is to do, without what became of it."""
        return Definition(**{field: getattr(self, field) for field in Definition.__struct_fields__})

    @property
    def is_paused(self) -> bool:
        return self.paused_us is not None

    @property
    def is_exhausted(self) -> bool:
        """Whether it has pushed as many jobs as `max_executions` allows."""
        return self.max_executions is not None and self.execution_count >= self.max_executions

    @property
    def is_finished(self) -> bool:
        """Whether no moment will come any more, unless it is edited."""
        return self.next_us is None

    @property
    def next_run_at(self) -> datetime | None:
        """The next moment; None when none will come, and for one that is to fire at once and has not yet."""
        return to_datetime(self.next_us) if self.next_us else None

    @property
    def last_run_at(self) -> datetime | None:
        """When it last pushed a job."""
        return _moment(self.last_run_us)

    @property
    def start_at(self) -> datetime | None:
        return _moment(self.start_us)

    @property
    def end_at(self) -> datetime | None:
        return _moment(self.end_us)

    @property
    def created_at(self) -> datetime:
        return to_datetime(self.created_us)

    @property
    def updated_at(self) -> datetime:
        return to_datetime(self.updated_us)

    @property
    def moments(self) -> Timetable:
        """Its moments."""
        return self.timetable(self.anchor_us)

    def next_runs(self, count: int = 5) -> Sequence[datetime]:
        """The next moments, aware and in the schedule's time zone: up to `count`, fewer if it ends before."""
        left = count if self.max_executions is None else min(count, self.max_executions - self.execution_count)
        moment_us = self.next_us
        found: list[datetime] = []
        while moment_us is not None and len(found) < left:
            found.append(to_datetime(moment_us or self.created_us).astimezone(zone_of(self.timezone)))
            moment_us = self.moments.next_after(moment_us or self.created_us)
        return found

    def __repr__(self) -> str:
        timing = self.cron_expr or f"every {self.every_ms} ms"
        return f"<Schedule {self.name!r} {timing} → {self.queue}/{self.job_name}>"


class ScheduleRun(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one moment of a schedule.

    `job_id` is None when no job was pushed; `error` then says why. `is_manual`: somebody triggered it.
    """

    schedule: str
    due_at: datetime
    fired_at: datetime
    job_id: str | None
    error: str | None = None
    is_manual: bool = False


class ScheduleSync(msgspec.Struct, frozen=True):
    """What a synchronisation with the schedules in code has done, by name.

    `kept_by_hand`: names that code wants too, but that somebody made by hand; they were left alone.
    """

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept_by_hand: tuple[str, ...] = ()


def _moment(us: int | None) -> datetime | None:
    return None if us is None else to_datetime(us)
