"""How a run ended, as data: it is stored by another thread, and may come from another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from pyqueue.core import limits, validate
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle.refs import error_of, result_text
from pyqueue.core.job import Job
from pyqueue.core.verdicts import Snooze, Verdict


class Done(msgspec.Struct, frozen=True, tag=True):
    """The handler returned; its result as JSON."""

    result_json: str | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The handler raised: what `fail` is told."""

    error: str
    retry: bool = True
    delay_ms: int | None = None
    discard: bool = False


class Snoozed(msgspec.Struct, frozen=True, tag=True):
    """The handler asked for another moment."""

    delay_ms: int


class Stopped(msgspec.Struct, frozen=True):
    """The worker stopped the run: the job is given back."""


class TimedOut(msgspec.Struct, frozen=True):
    """The run took longer than the job's `timeout_ms`."""


class Crashed(msgspec.Struct, frozen=True):
    """The process of the run died; `how` says of what."""

    how: str


# What a run can say itself; the rest is what happens to it.
Said = Done | Failed | Snoozed
End = Said | Stopped | TimedOut | Crashed


class Outcome(NamedTuple):
    """A job, how its run ended, and how long it took."""

    job: Job
    end: End
    seconds: float


def run(job: Job, handler: Callable[[Job], Any]) -> Outcome:
    """Calls the handler of a job."""
    started = time.perf_counter()
    try:
        result = handler(job)
    except BaseException as error:  # Also SystemExit: a job must not end its worker.
        end: End = end_by(error)
    else:
        end = end_with(result)
    return Outcome(job, end, time.perf_counter() - started)


def end_with(result: Any) -> Said:
    """The end of a run that returned; one that returned what is not JSON has failed."""
    if result is None:
        return Done(None)
    try:
        return Done(result_text(result))
    except ValidationError as error:
        return Failed(str(error))


def end_by(error: BaseException) -> Said:
    """The end of a run that raised: a failure, or what a verdict decides."""
    if isinstance(error, Snooze):
        return Snoozed(error.delay_ms)
    if isinstance(error, Verdict):
        told = error.told()
        text = validate.cut(told, limits.ERROR_BYTES_MAX) if isinstance(told, str) else error_of(told)
        return Failed(text, **error.fail_options())
    return Failed(error_of(error))
