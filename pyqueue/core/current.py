"""The job that the calling code runs for, wherever it is: in the handler, or in what it calls."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from pyqueue.core.job import Job

_current: Final[ContextVar[Job | None]] = ContextVar("pyqueue_job", default=None)


def current_job() -> Job | None:
    """The job that is being run by this thread or task; None outside of jobs."""
    return _current.get()


def enter(job: Job) -> None:
    """Says that the present context runs the job from now on."""
    _current.set(job)
