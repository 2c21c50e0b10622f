"""Pushing jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, Unpack

from pyqueue.core import ids, validate
from pyqueue.core.dag import resolve
from pyqueue.core.engine.push import Push, PushFlow, PushUnique
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle.pushing import Pushing, asurrounded, surrounded
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import JobOptions
from pyqueue.core.options import job_of_mapping, new_job
from pyqueue.core.surround import giving_managers
from pyqueue.core.uniqueness import PushOutcome, PushResult
from pyqueue.core.validate import shown

PushHook = TypeVar("PushHook", bound=Callable[[Pushing], Any])


def push_of(queue: str, name: str, data: Any, options: JobOptions, depth_max: int | None = None) -> Push:
    """A checked push of one job."""
    return Push(validate.queue_name(queue), (new_job(name, data, options),), depth_max)


def push_of_many(queue: str, jobs: Iterable[Mapping[str, Any]], depth_max: int | None = None) -> Push:
    """A checked push of several jobs."""
    if isinstance(jobs, str | bytes | Mapping) or not isinstance(jobs, Iterable):
        raise ValidationError(f"push_many got {shown(jobs)}; expected a list of mappings with a 'name' each.")
    checked = list(map(job_of_mapping, jobs))
    rich = [job for job in checked if job.settings is not None or job.ref is not None]
    if any(job.ref is not None or (job.settings and job.settings.depends_on) for job in rich):
        checked = resolve(checked)
    return Push(validate.queue_name(queue), tuple(checked), depth_max)


class Producing:
    """The part of a handle that stores new jobs."""

    _runtime: Runtime
    _depth_max: int | None

    def push(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str:
        """Stores one job and returns its id, a UUIDv7. When this returns, the job is on disk.

        `data` is anything JSON can hold (at most 1 MiB of it); options are those of `JobOptions`.

        Raises:
            ValidationError: a name, the data or an option does not fit.
            DuplicateKey: a live job of the queue holds the `unique_key` (see `unique_mode` for other answers).
            QueuePaused: the queue refuses pushes.
            StorageError: the database failed; nothing was stored.
        """
        return self._stored(push_of(queue, name, data, options, self._depth_max))[0]

    async def apush(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str:
        """`push` for event loops: pushes of one tick share a transaction, and the loop never waits for the disk."""
        return (await self._astored(push_of(queue, name, data, options, self._depth_max)))[0]

    def push_unique(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> PushResult:
        """`push` that also tells what it has done: stored a job, replaced one, or ignored the push (`unique_mode`)."""
        operation, outcomes = push_of(queue, name, data, options, self._depth_max), list[PushOutcome]()

        def store(push: Push | PushFlow) -> list[str]:
            assert isinstance(push, Push)
            keys, outcomes[:] = self._runtime.write(PushUnique(push))
            return ids.to_texts(keys, self._runtime.salt)

        [job_id] = surrounded(self._runtime.push_wraps, Pushing(operation), store)
        return PushResult(job_id, outcomes[0])

    async def apush_unique(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> PushResult:
        """`push_unique` for event loops."""
        operation, outcomes = push_of(queue, name, data, options, self._depth_max), list[PushOutcome]()

        async def store(push: Push | PushFlow) -> list[str]:
            assert isinstance(push, Push)
            keys, outcomes[:] = await self._runtime.awrite(PushUnique(push))
            return ids.to_texts(keys, self._runtime.salt)

        [job_id] = await asurrounded(self._runtime.push_wraps, Pushing(operation), store)
        return PushResult(job_id, outcomes[0])

    def push_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Stores several jobs in one transaction, all or none; returns their ids in the same order.

        Each job is a mapping with a `name`, and if wanted `data` and options. One with a `ref` can be named by that
        in the `depends_on` of the others, wherever it stands. No jobs, no effect. Raises what `push` raises.
        """
        operation = push_of_many(queue, jobs, self._depth_max)
        return self._stored(operation) if operation.jobs else []

    async def apush_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """`push_many` for event loops."""
        operation = push_of_many(queue, jobs, self._depth_max)
        return await self._astored(operation) if operation.jobs else []

    def wrap_push(self, hook: PushHook) -> PushHook:
        """Surrounds every push through this handle with the hook, `queue.on(…)` included.

            @queue.wrap_push
            def by_request(pushing):
                pushing.metadata["request_id"] = request_id.get()
                yield

        The hook is a function of the `Pushing` that yields once, or gives a context manager; behind its
        `yield` the jobs are stored, and `pushing.ids` known. What it raises, the caller of push gets; raised
        before the `yield`, nothing is stored. An async one surrounds `apush` and `apush_many` only.
        """
        self._runtime.push_wraps.append(giving_managers(hook, "wrap_push"))
        return hook

    def unwrap_push(self, hook: Callable[[Pushing], Any]) -> None:
        """Takes a hook of `wrap_push` back."""
        wraps = self._runtime.push_wraps
        wraps[:] = [wrap for wrap in wraps if getattr(wrap, "__wrapped__", wrap) is not hook]

    def _stored(self, operation: Push | PushFlow) -> list[str]:
        wraps = self._runtime.push_wraps
        return surrounded(wraps, Pushing(operation), self._store) if wraps else self._store(operation)

    async def _astored(self, operation: Push | PushFlow) -> list[str]:
        wraps = self._runtime.push_wraps
        return await (asurrounded(wraps, Pushing(operation), self._astore) if wraps else self._astore(operation))

    def _store(self, operation: Push | PushFlow) -> list[str]:
        return ids.to_texts(self._runtime.write(operation), self._runtime.salt)

    async def _astore(self, operation: Push | PushFlow) -> list[str]:
        return ids.to_texts(await self._runtime.awrite(operation), self._runtime.salt)
