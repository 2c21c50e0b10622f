"""pyqueue: persistent, crash-safe background jobs as a library call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyqueue._version import VERSION
from pyqueue.core import errors, signals
from pyqueue.core.backoff import Backoff
from pyqueue.core.current import current_job
from pyqueue.core.errors import PyQueueError
from pyqueue.core.handle.joined import BoundQueue
from pyqueue.core.job import (
    AckResult,
    Attempt,
    EventPage,
    FailResult,
    HeartbeatResult,
    HousekeepingReport,
    Job,
    JobChange,
    JobOptions,
    JobPage,
    LogEntry,
    QueueCounts,
    QueueInfo,
    StepResult,
)
from pyqueue.core.joblog import JobFilter
from pyqueue.core.presence import WorkerInfo
from pyqueue.core.queue import PyQueue
from pyqueue.core.quota import BreakerChange, QueueBreaker, QueueLimit
from pyqueue.core.schedule import Schedule, ScheduleOptions, ScheduleRun, ScheduleSync
from pyqueue.core.states import JobState
from pyqueue.core.tasks.context import JobContext
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import AsyncTask, JobHandle, Task
from pyqueue.core.uniqueness import PushOutcome, PushResult, UniqueMode
from pyqueue.core.verdicts import Discard, Retry, Snooze

if TYPE_CHECKING:
    from pyqueue.core.worker.drain import DrainReport
    from pyqueue.core.worker.worker import Worker, WorkerReport

__version__ = VERSION

__all__ = [
    "AckResult",
    "AsyncTask",
    "Attempt",
    "Backoff",
    "BoundQueue",
    "BreakerChange",
    "Discard",
    "DrainReport",
    "EventPage",
    "FailResult",
    "HeartbeatResult",
    "HousekeepingReport",
    "Job",
    "JobChange",
    "JobContext",
    "JobFilter",
    "JobHandle",
    "JobOptions",
    "JobPage",
    "JobState",
    "LogEntry",
    "PushOutcome",
    "PushResult",
    "PyQueue",
    "PyQueueError",
    "QueueBreaker",
    "QueueCounts",
    "QueueInfo",
    "QueueLimit",
    "Retry",
    "Schedule",
    "ScheduleOptions",
    "ScheduleRun",
    "ScheduleSync",
    "Snooze",
    "StepResult",
    "Task",
    "Tasks",
    "UniqueMode",
    "Worker",
    "WorkerInfo",
    "WorkerReport",
    "__version__",
    "current_job",
    "errors",
    "signals",
]


def __getattr__(name: str) -> Any:
    """The names of the worker, loaded when first used: a program that only pushes starts without them."""
    if name in ("Worker", "WorkerReport"):
        from pyqueue.core.worker import worker

        return getattr(worker, name)
    if name == "DrainReport":
        from pyqueue.core.worker.drain import DrainReport

        return DrainReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
