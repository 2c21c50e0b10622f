"""How callers name jobs, turned into what the engine expects."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from pyqueue.core import limits, validate
from pyqueue.core.engine.finish import Acked, Ref
from pyqueue.core.errors import PyQueueError, ValidationError
from pyqueue.core.job import AckResult, Job

JobOrId = Job | str
AckItem = JobOrId | tuple[JobOrId, Any] | tuple[JobOrId, Any, int | None]

# Frames of code below this folder are ours, not a handler's.
_PACKAGE: Final = os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir)) + os.sep


def ref_of(job: JobOrId, lease: int | None = None) -> Ref:
    """A job with the lease it carries, or an id with the lease given (None: whichever run is active)."""
    if lease is not None:
        validate.integer(lease, "lease", 0, 2**63 - 1)
    if isinstance(job, Job):
        return Ref(job.key, job.lease if lease is None else lease)
    return Ref(job_id(job), lease)


def acked(job: JobOrId, lease: int | None, result: Any) -> Acked:
    """One item of an acknowledgement."""
    ref = ref_of(job, lease)
    return ref.job, ref.lease, result_text(result)


def job_id(job: object) -> str:
    """The id text of a job or id."""
    if isinstance(job, Job):
        return job.id
    if isinstance(job, str):
        return job
    raise ValidationError(f"job {validate.shown(job)}; expected a Job or the id text that push() returned.")


def each_of(items: object, call: str) -> Iterable[Any]:
    """What a call for several jobs was given; a single job or id would be taken apart, or fail late."""
    if isinstance(items, str | bytes | Job) or not isinstance(items, Iterable):
        raise ValidationError(f"{call} got {validate.shown(items)}; expected a list of jobs or ids.")
    return items


class AckItems(NamedTuple):
    """The items of `ack_many`: the jobs as they were given, and what the engine is to do with each."""

    jobs: list[JobOrId]
    entries: tuple[Acked, ...]

    def results(self, errors: Sequence[PyQueueError | None]) -> list[AckResult]:
        return list(map(AckResult, self.jobs, errors))


def ack_items(items: Iterable[object]) -> AckItems:
    """Each item is a Job, an id, or a tuple of one of these, a result, and if wanted the lease."""
    jobs: list[JobOrId] = []
    entries: list[Acked] = []
    for item in each_of(items, "ack_many"):
        if type(item) is Job:  # What a loop over pulled jobs passes, without the detours.
            jobs.append(item)
            entries.append((item.key, item.lease, None))
            continue
        job, result, lease = _parts(item) if isinstance(item, tuple) else (item, None, None)
        if not isinstance(job, Job | str):
            raise ValidationError(
                f"ack_many got {validate.shown(item)}; expected a Job, an id, or a tuple (job, result)."
            )
        jobs.append(job)
        entries.append(acked(job, lease, result))
    return AckItems(jobs, tuple(entries))


def _parts(item: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    if len(item) not in (2, 3):
        raise ValidationError(f"ack_many got a tuple of {len(item)}; expected (job, result) or (job, result, lease).")
    return item[0], item[1], item[2] if len(item) == 3 else None


def result_text(result: Any) -> str | None:
    """A result as it is stored; None stays null."""
    return None if result is None else validate.json_text(result, "result", limits.RESULT_BYTES_MAX)


def error_of(error: object) -> str:
    """The text of a failure: a string as given, an exception as its traceback, cut to the limit."""
    if isinstance(error, BaseException):
        text = "".join(_of_handler(traceback.TracebackException.from_exception(error)).format()).rstrip()
        return validate.cut(text, limits.ERROR_BYTES_MAX).replace("\0", "\ufffd")
    return validate.error_text(error)


def _of_handler(trace: traceback.TracebackException) -> traceback.TracebackException:
    """The traceback from where the handler's code begins: what called it says nothing about the job."""
    for part in (trace.__cause__, trace.__context__):
        if part is not None:
            _of_handler(part)
    own = next((number for number, frame in enumerate(trace.stack) if not frame.filename.startswith(_PACKAGE)), 0)
    del trace.stack[:own]
    return trace
