"""pyqueue: persistent, crash-safe background jobs as a library call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyqueue._version import VERSION
from pyqueue.core import errors, signals
from pyqueue.core.backoff import Backoff
from pyqueue.core.current import current_job
from pyqueue.core.errors import PyQueueError
from pyqueue.core.explanation import Explanation, Reason
from pyqueue.core.flow import FlowStatus, ParentResult, ParentResults
from pyqueue.core.follows import ParentFailure
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
from pyqueue.core.tasks.call import PREVIOUS, Call
from pyqueue.core.tasks.context import JobContext
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import AsyncTask, JobHandle, Task
from pyqueue.core.uniqueness import PushOutcome, PushResult, UniqueMode
from pyqueue.core.verdicts import Discard, Retry, Snooze
from pyqueue.core.webhook import Webhook

if TYPE_CHECKING:
    from pyqueue.core.flows.batch import Batch
    from pyqueue.core.flows.builder import Flow, FlowJob, PushedFlow
    from pyqueue.core.flows.steps import chain, chord, group
    from pyqueue.core.worker.drain import DrainReport
    from pyqueue.core.worker.worker import Worker, WorkerReport

__version__ = VERSION

__all__ = [
    "PREVIOUS",
    "AckResult",
    "AsyncTask",
    "Attempt",
    "Backoff",
    "Batch",
    "BoundQueue",
    "BreakerChange",
    "Call",
    "Discard",
    "DrainReport",
    "EventPage",
    "Explanation",
    "FailResult",
    "Flow",
    "FlowJob",
    "FlowStatus",
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
    "ParentFailure",
    "ParentResult",
    "ParentResults",
    "PushOutcome",
    "PushResult",
    "PushedFlow",
    "PyQueue",
    "PyQueueError",
    "QueueBreaker",
    "QueueCounts",
    "QueueInfo",
    "QueueLimit",
    "Reason",
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
    "Webhook",
    "Worker",
    "WorkerInfo",
    "WorkerReport",
    "__version__",
    "chain",
    "chord",
    "current_job",
    "errors",
    "group",
    "signals",
]


# Loaded when first used: a program that only pushes starts without them.
_LAZY = {
    "Worker": "pyqueue.core.worker.worker",
    "WorkerReport": "pyqueue.core.worker.worker",
    "DrainReport": "pyqueue.core.worker.drain",
    "Batch": "pyqueue.core.flows.batch",
    "Flow": "pyqueue.core.flows.builder",
    "FlowJob": "pyqueue.core.flows.builder",
    "PushedFlow": "pyqueue.core.flows.builder",
    "chain": "pyqueue.core.flows.steps",
    "chord": "pyqueue.core.flows.steps",
    "group": "pyqueue.core.flows.steps",
}


def __getattr__(name: str) -> Any:
    """The names of workers and flows."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
