"""The errors of pyqueue: one tree, whose branches say whose turn it is.

`ValidationError`: the caller's. `StateError`: the job or queue is not in a state
that allows the call. `StorageError`: the database's. `ConfigError`: the set-up's.
Each class carries a `code`, stable across versions; those of the wire format
are spelled as there.
"""

from __future__ import annotations

from typing import ClassVar


class PyQueueError(Exception):
    """Any error that pyqueue raises on purpose."""

    code: ClassVar[str] = "INTERNAL_ERROR"


class ConfigError(PyQueueError):
    """A setting cannot work: an unknown URL scheme, a handler that cannot be imported."""

    code = "CONFIG_ERROR"


class ValidationError(PyQueueError, ValueError):
    """The call does not fit: the message names the value, the rule and a way out."""

    code = "VALIDATION_ERROR"


class StateError(PyQueueError):
    """The call fits, but the job or the queue is not in a state that allows it."""

    code = "STATE_ERROR"


class JobNotFound(StateError):
    """No job has this id: it was never made here, or it was deleted."""

    code = "JOB_NOT_FOUND"


def no_job(job_id: str) -> JobNotFound:
    """What is said of a job that is not there, or that the one who asks is not to know of."""
    return JobNotFound(f"job {job_id} does not exist; it was deleted, or its id is wrong.")


class ScheduleNotFound(StateError):
    """No schedule has this name: it was never made here, or it was deleted."""

    code = "SCHEDULE_NOT_FOUND"


class WebhookNotFound(StateError):
    """No webhook has this id: it was never made here, or it was deleted."""

    code = "WEBHOOK_NOT_FOUND"


class InvalidState(StateError):
    """The job is in another state than the operation needs."""

    code = "INVALID_STATE"


class LeaseLost(StateError):
    """The caller's lease is over: the job was handed out again, or taken back."""

    code = "LEASE_LOST"


class DuplicateKey(StateError):
    """The unique key is held by a live job of the queue, or stands twice in one batch."""

    code = "DUPLICATE_KEY"


class QueuePaused(StateError):
    """The queue refuses pushes until it is resumed."""

    code = "QUEUE_PAUSED"


class RateLimited(StateError):
    """The queue takes no more jobs for now: its limit for pushes is reached. Nothing of the call was stored."""

    code = "RATE_LIMITED"


class QueueClosed(StateError):
    """The handle was closed; open another one."""

    code = "QUEUE_CLOSED"


class JobFailed(StateError):
    """`wait_for`: the job has used up its attempts; the message ends with its last error."""

    code = "JOB_FAILED"


class JobCancelled(StateError):
    """`wait_for`: the job was cancelled or has expired."""

    code = "JOB_CANCELLED"


class UnknownTask(StateError):
    """A job names a task that this worker does not have."""

    code = "UNKNOWN_TASK"


class WaitTimeout(StateError, TimeoutError):
    """`wait_for`: the job had not finished in time. It goes on."""

    code = "WAIT_TIMEOUT"


class StorageError(PyQueueError):
    """The database refused or failed; nothing of the operation was kept."""

    code = "STORAGE_ERROR"


class StorageBusy(StorageError):
    """Another process held the write lock for longer than we wait."""

    code = "STORAGE_BUSY"


class StorageFull(StorageError):
    """The disk (or the quota) is full."""

    code = "STORAGE_FULL"


class StorageReadOnly(StorageError):
    """The file, its folder or its file system cannot be written."""

    code = "STORAGE_READ_ONLY"


class StorageCorrupt(StorageError):
    """The file is damaged, or is not a SQLite database."""

    code = "STORAGE_CORRUPT"


class SchemaTooNew(StorageError):
    """The database was written by a newer version of pyqueue than this one."""

    code = "SCHEMA_TOO_NEW"
