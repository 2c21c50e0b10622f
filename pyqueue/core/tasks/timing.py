"""Schedules in code: decorators on tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, Unpack

from pyqueue.core.definition import definition_of, schedule_name
from pyqueue.core.errors import ConfigError
from pyqueue.core.schedule import Definition, SchedulePolicies
from pyqueue.core.tasks.task import AnyTask, Task
from pyqueue.core.validate import shown

T = TypeVar("T", bound=AnyTask)


class Timing:
    """The part of a registry that says when its tasks run by themselves."""

    def __init__(self) -> None:
        self._schedules: dict[str, Callable[[], Definition]] = {}

    def cron(
        self,
        expression: str,
        *,
        tz: str | None = None,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        **policies: Unpack[SchedulePolicies],
    ) -> Callable[[T], T]:
        """Pushes the task below it whenever the expression matches in the time zone `tz` (an IANA name; UTC if none).

            @queue.cron("30 2 * * *", tz="Europe/Zurich")
            @queue.task
            def make_backup(): ...

        `name`: that of the schedule; by default the task's. `arguments`: those of each call. The schedule is
        stored when a worker with these tasks starts, and by `queue.sync_schedules()`.

        Raises:
            ConfigError: there is no task below it, or two schedules have one name.
            ValidationError: the expression, the zone, a policy or an argument does not fit.
        """
        return self._schedule(name, arguments, {"cron_expr": expression, "timezone": tz, **policies})

    def every(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        **policies: Unpack[SchedulePolicies],
    ) -> Callable[[T], T]:
        """Pushes the task below it at an interval: `@queue.every(minutes=5)`. See `cron`."""
        interval = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
        return self._schedule(name, arguments, {"every_ms": interval // timedelta(milliseconds=1), **policies})

    @property
    def schedules(self) -> dict[str, Definition]:
        """What the decorators have said, by the name of the schedule."""
        return {name: define() for name, define in self._schedules.items()}

    def _schedule(
        self, name: str | None, arguments: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Callable[[T], T]:
        def add(task: T) -> T:
            if not isinstance(task, Task):
                raise ConfigError(f"a schedule was put on {shown(task)}; expected a task: write @queue.task below it.")

            def define() -> Definition:
                job_options = {**task.job_options, **(options.get("job_options") or {})}
                data = task.signature.arguments_of((), arguments or {})
                return definition_of(task.queue, task.name, data, {**options, "job_options": job_options or None})

            self._add_schedules({schedule_name(name or task.name): define})
            return task

        return add

    def _add_schedules(self, schedules: Mapping[str, Callable[[], Definition]]) -> None:
        for name, define in schedules.items():
            if name in self._schedules:
                raise ConfigError(f"two schedules are called {name!r}; give one of them another name=.")
            try:
                define()
            except NameError:
                continue  # An annotation of the task that is defined further down; the definition is looked at again.
        self._schedules.update(schedules)
