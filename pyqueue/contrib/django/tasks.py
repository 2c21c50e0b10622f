"""A backend for `django.tasks`:

TASKS = {"default": {"BACKEND": "pyqueue.contrib.django.tasks.PyQueueBackend"}}

Imports no models: `@task` makes backends while the apps are still loading.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.module_loading import import_string

from pyqueue.contrib.django import handle, task_results
from pyqueue.contrib.django.task_api import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    normalize_json,
    task_enqueued,
)
from pyqueue.contrib.django.task_runs import engine_task
from pyqueue.core.errors import JobNotFound, ValidationError
from pyqueue.core.options import RULES

_OPTIONS: Final = ("EAGER", "MAX_ATTEMPTS")
# The options of a job beyond those that every task of Django has.
_OURS: Final = (
    "max_attempts",
    "backoff",
    "backoff_delay_ms",
    "timeout_ms",
    "ttl_ms",
    "unique_key",
    "limit_key",
    "group_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PyQueueTask(Task):  # type: ignore[misc]  # Django comes without types
    """A task with further options of its jobs: `@task(max_attempts=5)` from Django 6.1 on, and `.using(…)`."""

    max_attempts: int | None = None
    backoff: str | None = None
    backoff_delay_ms: int | None = None
    timeout_ms: int | None = None
    ttl_ms: int | None = None
    unique_key: str | None = None
    limit_key: str | None = None
    group_id: str | None = None

    def using(self, *, run_after: datetime | timedelta | None = None, **changes: Any) -> PyQueueTask:
        """The task with other options for the calls that follow; `run_after` may be a timedelta."""
        if isinstance(run_after, timedelta):
            run_after = timezone.now() + run_after
        if run_after is not None:
            changes["run_after"] = run_after
        return replace(self, **{key: value for key, value in changes.items() if value is not None})


class PyQueueBackend(BaseTaskBackend):  # type: ignore[misc]
    """Stores tasks as jobs of the project's queue, for `manage.py rqworker`.

    `OPTIONS`: `MAX_ATTEMPTS`, of tasks that say nothing else (3); `EAGER`, for tests: runs each when it is enqueued.
    """

    task_class = PyQueueTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        unknown = set(self.options) - set(_OPTIONS)
        if unknown:
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]['OPTIONS'] has {', '.join(sorted(unknown))}; expected {' and '.join(_OPTIONS)}."
            )

    def validate_task(self, task: Any) -> None:
        """Refuses what cannot be run, and makes the task known to the workers of this process."""
        super().validate_task(task)
        try:
            for name, value in _given(task).items():
                RULES[name](value, name)
        except ValidationError as error:
            raise InvalidTask(str(error)) from error
        handle.tasks.know(engine_task(task, handle.tasks), [task.queue_name, *sorted(self.queues)])

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Stores the job, inside the transaction that is open."""
        self.validate_task(task)
        given = json.loads(json.dumps({"args": normalize_json(list(args)), "kwargs": normalize_json(kwargs)}))
        queue = handle.current()
        job_id = queue.push(task.queue_name, task.module_path, given, **self._options_of(task))
        enqueued = task_results.enqueued(task, job_id, given, alias=self.alias)
        task_enqueued.send(type(self), task_result=enqueued)
        if self.options.get("EAGER"):
            queue.drain(task.queue_name)
            return self.get_result(job_id)
        return enqueued

    def get_result(self, result_id: str) -> TaskResult:
        """What is known of a task that was enqueued. Raises TaskResultDoesNotExist."""
        queue = handle.current()
        try:
            job = queue.get_job(result_id)
            task = import_string(job.name)
        except (JobNotFound, ValidationError, ImportError) as error:
            raise TaskResultDoesNotExist(str(error)) from error
        if not isinstance(task, Task):
            raise TaskResultDoesNotExist(f"job {result_id} is no task of Django, but {job.name!r}.")
        task = task.using(priority=job.priority, queue_name=job.queue)
        return task_results.stored(task, job, queue.attempts(job), alias=self.alias)

    def check(self, **_: Any) -> list[checks.CheckMessage]:
        """The app must be there, since its commands run what is enqueued."""
        if apps.is_installed("pyqueue.contrib.django"):
            return []
        return [
            checks.Error(
                f"TASKS[{self.alias!r}] is the backend of pyqueue, which is not installed as an app.",
                hint="Add 'pyqueue.contrib.django' to INSTALLED_APPS, and run: manage.py migrate",
                id="pyqueue.E004",
            )
        ]

    def _options_of(self, task: Any) -> Any:
        options: dict[str, Any] = {"priority": task.priority, **_given(task)}
        if "MAX_ATTEMPTS" in self.options:
            options.setdefault("max_attempts", self.options["MAX_ATTEMPTS"])
        if self.options.get("EAGER"):
            options["max_attempts"] = 1
        elif task.run_after is not None:
            run_at = task.run_after
            options["run_at"] = timezone.make_aware(run_at) if timezone.is_naive(run_at) else run_at
        return options


def _given(task: Any) -> dict[str, Any]:
    """The options of ours that a task has. One that was made for another backend has none."""
    return {name: value for name in _OURS if (value := getattr(task, name, None)) is not None}
