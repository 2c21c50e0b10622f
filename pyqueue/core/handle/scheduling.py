"""Schedules: rules that push jobs by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from pyqueue.core import limits
from pyqueue.core.definition import definition_of, schedule_name
from pyqueue.core.engine.firing import Trigger
from pyqueue.core.engine.schedules import (
    CreateSchedule,
    DeleteSchedule,
    EditSchedule,
    PauseSchedule,
    ResumeSchedule,
    SyncSchedules,
    find,
)
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.schedule import Schedule, ScheduleChanges, ScheduleOptions, ScheduleRun, ScheduleSync
from pyqueue.core.store import schedules
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.validate import integer


class Scheduling:
    """The part of a handle that keeps schedules. They fire where housekeeping runs: in workers and servers."""

    _runtime: Runtime
    tasks: Tasks

    def create_schedule(
        self,
        name: str,
        queue: str,
        job_name: str,
        job_data: Any = None,
        *,
        fires_at_once: bool = False,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Makes a schedule that pushes a job to `queue` at each of its moments; options: `ScheduleOptions`.

        One of that name is given this definition instead; its counts, last runs and pause stay, and its next
        moment too unless the timing has changed. `fires_at_once`: a new one fires at the next housekeeping, and
        not first when its timing says so.

        Raises:
            ValidationError: a name, the timing or an option does not fit; nothing was stored.
        """
        return self._runtime.write(_create_of(name, queue, job_name, job_data, fires_at_once, options))

    async def acreate_schedule(
        self,
        name: str,
        queue: str,
        job_name: str,
        job_data: Any = None,
        *,
        fires_at_once: bool = False,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """`create_schedule` for event loops."""
        return await self._runtime.awrite(_create_of(name, queue, job_name, job_data, fires_at_once, options))

    def edit_schedule(self, name: str, **changes: Unpack[ScheduleChanges]) -> Schedule:
        """Changes what is given of a schedule, and leaves the rest; a new kind of timing replaces the other.

        Raises:
            ScheduleNotFound. ValidationError: a change does not fit.
        """
        return self._runtime.write(EditSchedule(schedule_name(name), changes))

    async def aedit_schedule(self, name: str, **changes: Unpack[ScheduleChanges]) -> Schedule:
        """`edit_schedule` for event loops."""
        return await self._runtime.awrite(EditSchedule(schedule_name(name), changes))

    def get_schedule(self, name: str) -> Schedule:
        """The schedule as it is now. Raises ScheduleNotFound."""
        return self._runtime.read(lambda tx: find(tx, schedule_name(name)))

    async def aget_schedule(self, name: str) -> Schedule:
        """`get_schedule` for event loops."""
        return await self._runtime.aread(lambda tx: find(tx, schedule_name(name)))

    def list_schedules(self) -> list[Schedule]:
        """All schedules, by name, paused and finished ones too."""
        return self._runtime.read(schedules.all_of_them)

    async def alist_schedules(self) -> list[Schedule]:
        """`list_schedules` for event loops."""
        return await self._runtime.aread(schedules.all_of_them)

    def schedule_runs(self, name: str, *, limit: int = limits.SCHEDULE_RUNS_KEPT) -> list[ScheduleRun]:
        """What came of the last moments of a schedule, newest first; 20 are kept. Raises ScheduleNotFound."""
        return self._runtime.read(_runs_of(name, limit))

    async def aschedule_runs(self, name: str, *, limit: int = limits.SCHEDULE_RUNS_KEPT) -> list[ScheduleRun]:
        """`schedule_runs` for event loops."""
        return await self._runtime.aread(_runs_of(name, limit))

    def pause_schedule(self, name: str) -> Schedule:
        """Lets it push no jobs until `resume_schedule`, through restarts and edits. Raises ScheduleNotFound."""
        return self._runtime.write(PauseSchedule(schedule_name(name)))

    async def apause_schedule(self, name: str) -> Schedule:
        """`pause_schedule` for event loops."""
        return await self._runtime.awrite(PauseSchedule(schedule_name(name)))

    def resume_schedule(self, name: str) -> Schedule:
        """Ends a pause. Moments that passed meanwhile are missed: its misfire policy says what becomes of them.

        One that has reached `max_executions` or its end does not fire again. Raises ScheduleNotFound.
        """
        return self._runtime.write(ResumeSchedule(schedule_name(name)))

    async def aresume_schedule(self, name: str) -> Schedule:
        """`resume_schedule` for event loops."""
        return await self._runtime.awrite(ResumeSchedule(schedule_name(name)))

    def trigger_schedule(self, name: str) -> str:
        """Pushes a job of the schedule now, paused or not, beside its timing and its count; returns the job's id.

        Raises:
            ScheduleNotFound, and what `push` raises.
        """
        return self._runtime.text_of(self._runtime.write(Trigger(schedule_name(name))))

    async def atrigger_schedule(self, name: str) -> str:
        """`trigger_schedule` for event loops."""
        return self._runtime.text_of(await self._runtime.awrite(Trigger(schedule_name(name))))

    def delete_schedule(self, name: str) -> bool:
        """Removes a schedule and what is known of its runs; its jobs stay. Returns whether there was one."""
        return self._runtime.write(DeleteSchedule(schedule_name(name)))

    async def adelete_schedule(self, name: str) -> bool:
        """`delete_schedule` for event loops."""
        return await self._runtime.awrite(DeleteSchedule(schedule_name(name)))

    def sync_schedules(self) -> ScheduleSync:
        """Makes the schedules of `@queue.cron` and `@queue.every` in the database what they are in the code.

        Those that are new in the code are made, those that have changed are changed, and those that are gone are
        removed, if they pushed to a queue of this program's tasks. What was made by hand is left
        alone. Workers that run tasks do this when they start.
        """
        return self._runtime.write(self._sync())

    async def async_schedules(self) -> ScheduleSync:
        """`sync_schedules` for event loops."""
        return await self._runtime.awrite(self._sync())

    def _sync(self) -> SyncSchedules:
        return SyncSchedules(self.tasks.schedules, frozenset(self.tasks.queues))


def _create_of(
    name: str, queue: str, job_name: str, job_data: Any, fires_at_once: bool, options: ScheduleOptions
) -> CreateSchedule:
    return CreateSchedule(schedule_name(name), definition_of(queue, job_name, job_data, options), fires_at_once)


def _runs_of(name: str, limit: int) -> Callable[[Transaction], list[ScheduleRun]]:
    integer(limit, "limit", 1, limits.LIST_LIMIT_MAX)

    def query(tx: Transaction) -> list[ScheduleRun]:
        return schedules.runs(tx, find(tx, schedule_name(name)).name, limit)

    return query
