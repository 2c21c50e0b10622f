"""Running tasks of `django.tasks` as tasks of the engine, with Django's signals around."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from pyqueue.contrib.django import task_results
from pyqueue.contrib.django.task_api import (
    TaskContext,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_finished,
    task_started,
)
from pyqueue.core.current import current_job
from pyqueue.core.job import Job
from pyqueue.core.tasks.context import JobContext
from pyqueue.core.tasks.policy import FailurePolicy
from pyqueue.core.tasks.task import AnyTask, AsyncTask, Home, Task
from pyqueue.core.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PyQueueContext(TaskContext):  # type: ignore[misc]  # Django comes without types
    """What a task with `takes_context` is given: Django's context, and in `job` that of pyqueue (progress, log, …)."""

    job: JobContext


def engine_task(task: Any, home: Home) -> AnyTask:
    """The engine's task that runs jobs of one of Django's, under the path of its function."""

    def run(context: JobContext, args: list[Any], kwargs: dict[str, Any]) -> Any:
        started = _start(task, job := _job())
        task_started.send(_sender(task), task_result=started)
        try:
            value = normalize_json(task.func(*_given(task, started, context), *args, **kwargs))
        except BaseException as error:  # SystemExit is a failed attempt too. All are raised again.
            if _is_the_end(job, error):
                task_finished.send(_sender(task), task_result=_end(started, TaskResultStatus.FAILED))
            raise
        task_finished.send(_sender(task), task_result=_end(started, TaskResultStatus.SUCCESSFUL, value))
        return value

    async def arun(context: JobContext, args: list[Any], kwargs: dict[str, Any]) -> Any:
        started = _start(task, job := _job())
        await task_started.asend(_sender(task), task_result=started)
        try:
            value = normalize_json(await task.func(*_given(task, started, context), *args, **kwargs))
        except BaseException as error:  # As above.
            if _is_the_end(job, error):
                await task_finished.asend(_sender(task), task_result=_end(started, TaskResultStatus.FAILED))
            raise
        await task_finished.asend(_sender(task), task_result=_end(started, TaskResultStatus.SUCCESSFUL, value))
        return value

    is_async = inspect.iscoroutinefunction(task.func)
    kind = AsyncTask if is_async else Task
    return kind(
        arun if is_async else run,
        name=task.module_path,
        queue=task.queue_name,
        options={},
        policy=FailurePolicy(),
        home=home,
    )


def _job() -> Job:
    job = current_job()
    assert job is not None  # A worker or a drain has entered it.
    return job


def _start(task: Any, job: Job) -> TaskResult:
    return task_results.stored(task, job, (), alias=task.backend)


def _given(task: Any, started: TaskResult, context: JobContext) -> list[TaskContext]:
    return [PyQueueContext(task_result=started, job=context)] if task.takes_context else []


def _is_the_end(job: Job, error: BaseException) -> bool:
    """Whether this was the last attempt. What a verdict makes of the job is the engine's to say."""
    return not isinstance(error, Verdict) and 0 < job.max_attempts <= job.attempt + 1


def _end(started: TaskResult, status: TaskResultStatus, value: Any = None) -> TaskResult:
    from django.utils import timezone

    for name, fact in (("status", status), ("finished_at", timezone.now()), ("_return_value", value)):
        object.__setattr__(started, name, fact)
    return started


def _sender(task: Any) -> type:
    return type(task.get_backend())
