"""Pushing jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

from pyqueue.core import ids, validate
from pyqueue.core.engine.push import Push
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import JobOptions
from pyqueue.core.options import job_of_mapping, new_job
from pyqueue.core.validate import shown


def push_of(queue: str, name: str, data: Any, options: JobOptions) -> Push:
    """A checked push of one job."""
    return Push(validate.queue_name(queue), (new_job(name, data, options),))


def push_of_many(queue: str, jobs: Iterable[Mapping[str, Any]]) -> Push:
    """A checked push of several jobs."""
    if isinstance(jobs, str | bytes | Mapping) or not isinstance(jobs, Iterable):
        raise ValidationError(f"push_many got {shown(jobs)}; expected a list of mappings with a 'name' each.")
    return Push(validate.queue_name(queue), tuple(map(job_of_mapping, jobs)))


class Producing:
    """The part of a handle that stores new jobs."""

    _runtime: Runtime

    def push(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str:
        """Stores one job and returns its id, a UUIDv7. When this returns, the job is on disk.

        `data` is anything JSON can hold (at most 1 MiB of it); options are those of `JobOptions`.

        Raises:
            ValidationError: a name, the data or an option does not fit.
            DuplicateKey: a live job of the queue holds the `unique_key`.
            QueuePaused: the queue refuses pushes.
            StorageError: the database failed; nothing was stored.
        """
        return self._texts(self._runtime.write(push_of(queue, name, data, options)))[0]

    async def apush(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str:
        """`push` for event loops: pushes of one tick share a transaction, and the loop never waits for the disk."""
        return self._texts(await self._runtime.awrite(push_of(queue, name, data, options)))[0]

    def push_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Stores several jobs in one transaction, all or none; returns their ids in the same order.

        Each job is a mapping with a `name`, and if wanted `data` and options. No jobs, no effect.
        Raises what `push` raises.
        """
        operation = push_of_many(queue, jobs)
        return self._texts(self._runtime.write(operation)) if operation.jobs else []

    async def apush_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """`push_many` for event loops."""
        operation = push_of_many(queue, jobs)
        return self._texts(await self._runtime.awrite(operation)) if operation.jobs else []

    def _texts(self, keys: Sequence[int]) -> list[str]:
        return ids.to_texts(keys, self._runtime.store.salt)
