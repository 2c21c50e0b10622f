"""A batch: any number of jobs, and what is to follow when all of them have ended."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self, Unpack

import msgspec

from pyqueue.core import limits, validate
from pyqueue.core.engine.batches import CloseBatch
from pyqueue.core.engine.push import PushFlow
from pyqueue.core.errors import ValidationError
from pyqueue.core.flow import FlowStatus
from pyqueue.core.follows import ParentFailure
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import JobOptions
from pyqueue.core.options import NewJob, Settings, job_of_mapping, new_job
from pyqueue.core.tasks.call import Call

# Jobs stored in one transaction, so that others can write between two of them.
CHUNK: Final = 1_000


class BatchQueue(Protocol):
    """The calls of a queue that a batch needs."""

    def store_flow(self, operation: PushFlow) -> list[str]: ...

    async def astore_flow(self, operation: PushFlow) -> list[str]: ...

    def cancel_flow(self, flow_id: str) -> int: ...

    async def acancel_flow(self, flow_id: str) -> int: ...

    def get_flow(self, flow_id: str, *, limit: int = 1_000) -> FlowStatus: ...

    async def aget_flow(self, flow_id: str, *, limit: int = 1_000) -> FlowStatus: ...


class Batch:
    """Jobs that share an id, and up to three more that run when all of them have ended. Its id is that of a flow.

        with queue.batch(on_complete=report.call()) as batch:
            for row in rows:
                batch.add(work.call(row))

    What is added is stored in chunks, each in a transaction, and runs at once; the callbacks wait until the batch
    is closed and its last job has ended, and are released in the transaction in which it does. Leaving the block
    closes the batch; an error in it cancels what has not started. Jobs may add further ones: `open_batch`.
    """

    def __init__(
        self, queue: BatchQueue, runtime: Runtime, batch_id: str | None, callbacks: Mapping[ParentFailure, Call[Any]]
    ) -> None:
        self.id = uuid.uuid4().hex if batch_id is None else validate.text(batch_id, "batch_id", limits.LABEL_BYTES_MAX)
        self._queue, self._runtime = queue, runtime
        self._waiting: tuple[tuple[str, int], ...] | None = None
        self._callbacks = [
            (call.queue, self._callback(policy, call), policy.code) for policy, call in callbacks.items()
        ]
        self._gathered: list[tuple[str, NewJob]] = []

    @classmethod
    def opened(cls, queue: BatchQueue, runtime: Runtime, batch_id: str, waiting: tuple[tuple[str, int], ...]) -> Self:
        """A batch that was begun elsewhere."""
        batch = cls(queue, runtime, batch_id, {})
        batch._waiting = waiting
        return batch

    def add(
        self, what: Call[Any] | str, name: str | None = None, data: Any = None, /, **options: Unpack[JobOptions]
    ) -> None:
        """Adds a call of a task, or a job by queue and name; it is stored with its chunk."""
        self._gather([_member(what, name, data, options)])
        if len(self._gathered) >= CHUNK:
            self.flush()

    async def aadd(
        self, what: Call[Any] | str, name: str | None = None, data: Any = None, /, **options: Unpack[JobOptions]
    ) -> None:
        """`add` for event loops."""
        self._gather([_member(what, name, data, options)])
        if len(self._gathered) >= CHUNK:
            await self.aflush()

    def add_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> None:
        """Adds jobs given as for `push_many`, and stores what is gathered."""
        for job in jobs:
            self._gather([(queue, job_of_mapping(job))])
            if len(self._gathered) >= CHUNK:
                self.flush()
        self.flush()

    async def aadd_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> None:
        """`add_many` for event loops."""
        for job in jobs:
            self._gather([(queue, job_of_mapping(job))])
            if len(self._gathered) >= CHUNK:
                await self.aflush()
        await self.aflush()

    def flush(self) -> None:
        """Stores what is gathered. Raises InvalidState: the batch is closed; and what `PyQueue.push` raises."""
        if self._waiting is None:
            begin = self._begin()
            self._begun(self._queue.store_flow(begin) if begin.jobs else [])
        if members := self._take():
            self._queue.store_flow(members)

    async def aflush(self) -> None:
        """`flush` for event loops."""
        if self._waiting is None:
            begin = self._begin()
            self._begun(await self._queue.astore_flow(begin) if begin.jobs else [])
        if members := self._take():
            await self._queue.astore_flow(members)

    def close(self) -> None:
        """Stores what is gathered, and lets the callbacks wait for nothing else. Closing again does nothing."""
        self.flush()
        self._runtime.write(CloseBatch(self._waiting or ()))

    async def aclose(self) -> None:
        """`close` for event loops."""
        await self.aflush()
        await self._runtime.awrite(CloseBatch(self._waiting or ()))

    def status(self) -> FlowStatus:
        """How far it is: counts and percent, callbacks included, without the jobs themselves."""
        return self._queue.get_flow(self.id, limit=0)

    async def astatus(self) -> FlowStatus:
        """`status` for event loops."""
        return await self._queue.aget_flow(self.id, limit=0)

    def __enter__(self) -> Self:
        self.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._queue.cancel_flow(self.id)

    async def __aenter__(self) -> Self:
        await self.aflush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.aclose()
        else:
            await self._queue.acancel_flow(self.id)

    def _callback(self, policy: ParentFailure, call: Call[Any]) -> NewJob:
        _require_whole(call)
        return new_job(
            call.name, call.data, {**call.options, "flow_id": self.id, "on_parent_failure": policy, "depends_on": None}
        )

    def _begin(self) -> PushFlow:
        queues, jobs = [queue for queue, _, _ in self._callbacks], [job for _, job, _ in self._callbacks]
        return PushFlow(tuple(queues), tuple(jobs), is_held=True)

    def _begun(self, ids: list[str]) -> None:
        self._waiting = tuple((job_id, policy) for job_id, (_, _, policy) in zip(ids, self._callbacks, strict=True))

    def _gather(self, members: Iterable[tuple[str, NewJob]]) -> None:
        for queue, job in members:
            if job.ref is not None:
                raise ValidationError("ref of a job of a batch; expected refs in flows and in push_many only.")
            settings = msgspec.structs.replace(job.settings or Settings(), flow_id=self.id, has_children=True)
            self._gathered.append((validate.queue_name(queue), msgspec.structs.replace(job, settings=settings)))

    def _take(self) -> PushFlow | None:
        """The operation that stores what is gathered. If it fails, those jobs are not stored, now or later."""
        if not self._gathered:
            return None
        gathered, self._gathered = self._gathered, []
        queues, jobs = zip(*gathered, strict=True)
        return PushFlow(queues, jobs, waiting=self._waiting or ())


def _member(what: Call[Any] | str, name: str | None, data: Any, options: JobOptions) -> tuple[str, NewJob]:
    if not isinstance(what, Call):
        return what, new_job(name, data, options)
    _require_whole(what)
    return what.queue, new_job(what.name, what.data, what.options)


def _require_whole(call: Call[Any]) -> None:
    if call.arguments.single or call.arguments.lists:
        raise ValidationError(f"{call!r} takes the result of another job; expected that in a flow, not in a batch.")
