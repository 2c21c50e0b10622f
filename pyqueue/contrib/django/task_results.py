"""Jobs as the results of `django.tasks`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

from pyqueue.contrib.django.task_api import TaskError, TaskResult, TaskResultStatus
from pyqueue.core.job import Attempt, Job
from pyqueue.core.states import JobState

_STATUS: Final = {
    JobState.ACTIVE: TaskResultStatus.RUNNING,
    JobState.COMPLETED: TaskResultStatus.SUCCESSFUL,
    JobState.DLQ: TaskResultStatus.FAILED,
    JobState.CANCELLED: TaskResultStatus.FAILED,
}
_CLASS: Final = re.compile(r"([A-Za-z_][\w.]*)(?::|$)")


def enqueued(task: Any, job_id: str, given: dict[str, Any], *, alias: str) -> TaskResult:
    """The result of a task that has just been stored."""
    return _result(task, job_id, given, alias, status=TaskResultStatus.READY, enqueued_at=timezone.now())


def stored(task: Any, job: Job, attempts: Sequence[Attempt], *, alias: str) -> TaskResult:
    """The result of a job, as both were when they were read."""
    status = _STATUS.get(job.state, TaskResultStatus.READY)
    runs = [attempt.worker_id or "" for attempt in attempts]
    if job.state in (JobState.ACTIVE, JobState.COMPLETED) and job.worker_id is not None:
        runs.append(job.worker_id)
    started = [attempt.started_at for attempt in attempts if attempt.started_at is not None]
    result = _result(
        task, job.id, job.data, alias,
        status=status,
        enqueued_at=job.created_at,
        started_at=started[0] if started else job.started_at,
        last_attempted_at=job.started_at or (started[-1] if started else None),
        finished_at=_finished_at(job, attempts),
        errors=[error_of(attempt.error) for attempt in attempts],
        worker_ids=runs,
    )  # fmt: skip
    if status == TaskResultStatus.SUCCESSFUL:
        object.__setattr__(result, "_return_value", job.result)
    return result


def error_of(text: str) -> TaskError:
    """What a run raised, from its traceback: the exception's name follows the last of its indented lines."""
    lines = text.splitlines() or [""]
    last_frame = max((number for number, line in enumerate(lines) if line.startswith("  ")), default=-1)
    found = _CLASS.match(lines[min(last_frame + 1, len(lines) - 1)])
    name = "Exception" if found is None else found[1]
    return TaskError(exception_class_path=name if "." in name else f"builtins.{name}", traceback=text)


def _finished_at(job: Job, attempts: Sequence[Attempt]) -> datetime | None:
    if not job.state.is_terminal:
        return None
    return job.completed_at or (attempts[-1].failed_at if attempts else job.updated_at)


def _result(task: Any, job_id: str, given: dict[str, Any], alias: str, **known: Any) -> TaskResult:
    facts: dict[str, Any] = {
        "started_at": None, "last_attempted_at": None, "finished_at": None, "errors": [], "worker_ids": [], **known
    }  # fmt: skip
    return TaskResult(task=task, id=job_id, args=given["args"], kwargs=given["kwargs"], backend=alias, **facts)
