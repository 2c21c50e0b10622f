"""A flow under construction, and what is known of it once it is pushed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, Unpack, cast, overload

import msgspec

from pyqueue.core import binding, dag, limits, validate
from pyqueue.core.engine.push import PushFlow
from pyqueue.core.errors import ValidationError
from pyqueue.core.flow import FlowStatus
from pyqueue.core.handle.joined import BoundQueue
from pyqueue.core.job import JobOptions
from pyqueue.core.options import NewJob, Settings, new_job, ref_of
from pyqueue.core.tasks.call import Arguments, Call, Promise
from pyqueue.core.tasks.task import JobHandle, TaskQueue
from pyqueue.core.validate import shown

if TYPE_CHECKING:
    from pyqueue.core.flows.steps import Step

R = TypeVar("R")


class FlowQueue(TaskQueue, Protocol):
    """The calls of a queue that flows need."""

    def on(self, connection: Any) -> BoundQueue: ...

    def store_flow(self, operation: PushFlow) -> list[str]: ...

    async def astore_flow(self, operation: PushFlow) -> list[str]: ...

    def get_flow(self, flow_id: str, *, limit: int = 1_000) -> FlowStatus: ...


class FlowJob(Generic[R]):
    """A job of a flow that is not pushed yet. Others wait for it (`after=`), or take its `result` as an argument."""

    def __init__(
        self, ref: str, queue: str, job: NewJob, after: Sequence[FlowJob[Any] | str], result_type: Any
    ) -> None:
        self.ref, self.queue, self.result_type = ref, queue, result_type
        self._job, self._after = job, after
        self._single: dict[str, FlowJob[Any]] = {}
        self._lists: dict[str, list[FlowJob[Any]]] = {}

    @property
    def result(self) -> R:
        """What it will give, to be passed to another job of the flow: that one then waits for it."""
        return cast(R, Promise(self))

    def bind(self, arguments: Arguments) -> None:
        """Takes results of other jobs of the flow as arguments."""
        for name, promise in arguments.single.items():
            self._single[name] = _job_of(promise)
        for name, promises in arguments.lists.items():
            self._lists[name] = list(map(_job_of, promises))

    @property
    def parents(self) -> list[FlowJob[Any] | str]:
        """What it waits for: jobs of the flow, and ids of others."""
        bound = [*self._single.values(), *(parent for parents in self._lists.values() for parent in parents)]
        return list(dict.fromkeys([*self._after, *bound]))

    def new_job(self) -> NewJob:
        """The job as it is to be stored, its parents named by ref."""
        parents = self.parents
        if not parents:
            return self._job
        names = tuple(parent.ref if isinstance(parent, FlowJob) else str(parent) for parent in parents)
        binds: dict[str, str] = {}
        for parent in {*self._single.values(), *(each for parents in self._lists.values() for each in parents)}:
            binds[parent.ref] = binding.names_of(
                [name for name, its in self._single.items() if its is parent],
                [name for name, its in self._lists.items() if parent in its],
            )
        settings = msgspec.structs.replace(self._job.settings or Settings(), depends_on=names, binds=binds or None)
        return msgspec.structs.replace(self._job, settings=settings)

    def __repr__(self) -> str:
        return f"<flow job {self.ref!r}>"


def _job_of(promise: Promise) -> FlowJob[Any]:
    if isinstance(promise.job, FlowJob):
        return promise.job
    raise ValidationError("PREVIOUS stands where no step comes before; expected it in a later step of a chain.")


class Flow:
    """Jobs that wait for each other, gathered to be stored in one transaction.

    flow = queue.flow()
    rows = flow.add(extract.call("users"))
    flow.add(load.call(rows.result))
    flow.add("reports", "refresh", {"full": True}, after=[rows])
    pushed = flow.push()
    """

    def __init__(self, queue: FlowQueue, flow_id: str | None = None) -> None:
        """`flow_id`: what its jobs carry; a random one by default."""
        self.flow_id = (
            uuid.uuid4().hex if flow_id is None else validate.text(flow_id, "flow_id", limits.LABEL_BYTES_MAX)
        )
        self._queue = queue
        self._jobs: dict[str, FlowJob[Any]] = {}
        self._is_pushed = False

    @overload
    def add(
        self, call: Call[R], /, *, after: Iterable[FlowJob[Any] | str] = (), ref: str | None = None
    ) -> FlowJob[R]: ...
    @overload
    def add(self, step: Step, /, *, after: Iterable[FlowJob[Any] | str] = ()) -> list[FlowJob[Any]]: ...
    @overload
    def add(
        self,
        queue: str,
        name: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        after: Iterable[FlowJob[Any] | str] = (),
        ref: str | None = None,
        **options: Unpack[JobOptions],
    ) -> FlowJob[Any]: ...

    def add(
        self,
        what: Any,
        name: str | None = None,
        data: Any = None,
        /,
        *,
        after: Iterable[FlowJob[Any] | str] = (),
        ref: str | None = None,
        **options: Any,
    ) -> Any:
        """Adds a call of a task, a job by queue and name, or a `chain`, `group` or `chord`.

        `after`: jobs of this flow, or ids of stored ones, that it waits for, besides those whose result it takes.
        `ref`: how its children find its result (default: its name, numbered if there are several).

        Raises:
            ValidationError: it does not fit; the flow is as it was before.
        """
        waits = _parents(after)
        if isinstance(what, Call):
            return self.add_call(what, what.arguments, after=waits, ref=ref)
        if isinstance(what, str):
            if not isinstance(data, Mapping | None):
                raise ValidationError(f"data {shown(data)} of a job of a flow; expected a mapping.")
            arguments = Arguments(data or {}, f"job {name!r}")
            job = self._new_job(what, name, arguments.values, options, waits, ref, Any)
            return self._added(job, arguments)
        add_to: Callable[..., Any] | None = getattr(what, "add_to", None)
        if add_to is None:
            raise ValidationError(f"add() got {shown(what)}; expected task.call(…), a queue and a name, or a chain.")
        return add_to(self, waits, None)

    def add_call(
        self, call: Call[R], arguments: Arguments, *, after: Sequence[FlowJob[Any] | str], ref: str | None = None
    ) -> FlowJob[R]:
        """Adds a call with promises put in the place of others."""
        job = self._new_job(call.queue, call.name, call.data, call.options, after, ref, call.result_type)
        return self._added(job, arguments)

    def _new_job(
        self,
        queue: str,
        name: str | None,
        data: Any,
        options: Mapping[str, Any],
        after: Sequence[FlowJob[Any] | str],
        ref: str | None,
        result_type: Any,
    ) -> FlowJob[Any]:
        if options.get("depends_on") is not None:
            raise ValidationError("depends_on of a job of a flow; expected after=[…], which takes ids too.")
        job = new_job(name, data, {**options, "flow_id": self.flow_id})
        chosen = self._free_ref(job.name) if ref is None else ref_of(ref)
        if chosen in self._jobs:
            raise ValidationError(f"ref {shown(chosen)} stands twice in one flow; expected each ref once.")
        named = msgspec.structs.replace(job, ref=chosen)
        return FlowJob(chosen, validate.queue_name(queue), named, after, result_type)

    def _added(self, job: FlowJob[Any], arguments: Arguments) -> FlowJob[Any]:
        job.bind(arguments)
        self._jobs[job.ref] = job
        return job

    def _free_ref(self, name: str) -> str:
        if name not in self._jobs:
            return name
        number = len(self._jobs) + 1
        while (numbered := f"{name}-{number}") in self._jobs:
            number += 1
        return numbered

    def push(self, *, on: Any = None) -> PushedFlow:
        """Stores all jobs in one transaction, or none. `on`: a connection with an open transaction to be part of.

        Raises:
            ValidationError: the jobs wait for each other in a circle, or for a job that is not there.
            And what `PyQueue.push` raises.
        """
        queue = self._queue if on is None else self._queue.on(on)
        return self._pushed(queue.store_flow(self._operation()))

    async def apush(self) -> PushedFlow:
        """`push` for event loops."""
        return self._pushed(await self._queue.astore_flow(self._operation()))

    def _operation(self) -> PushFlow:
        if self._is_pushed:
            raise ValidationError(f"flow {self.flow_id!r} was pushed already; expected a new one for further jobs.")
        if not self._jobs:
            raise ValidationError("push() of a flow without jobs; expected at least one add() before.")
        strangers = [
            parent
            for job in self._jobs.values()
            for parent in job.parents
            if isinstance(parent, FlowJob) and self._jobs.get(parent.ref) is not parent
        ]
        if strangers:
            raise ValidationError(f"{strangers[0]!r} belongs to another flow; expected a job of this one, or an id.")
        jobs = dag.resolve([job.new_job() for job in self._jobs.values()])
        return PushFlow(tuple(job.queue for job in self._jobs.values()), tuple(jobs))

    def _pushed(self, ids: Sequence[str]) -> PushedFlow:
        self._is_pushed = True
        handles: dict[str, JobHandle[Any]] = {
            job.ref: JobHandle.of(job_id, self._queue, job.result_type)
            for job, job_id in zip(self._jobs.values(), ids, strict=True)
        }
        return PushedFlow(self.flow_id, handles, self._queue)


def _parents(after: Iterable[FlowJob[Any] | str]) -> list[FlowJob[Any] | str]:
    if isinstance(after, str | FlowJob) or not isinstance(after, Iterable):
        raise ValidationError(f"after={shown(after)}; expected a list of jobs of the flow, or of ids.")
    parents = list(after)
    for parent in parents:
        if not isinstance(parent, FlowJob | str):
            raise ValidationError(f"after has {shown(parent)}; expected a job of the flow, or an id.")
    return parents


class PushedFlow:
    """A flow that is stored: its id, and a handle for each of its jobs, in the order in which they were added."""

    def __init__(self, flow_id: str, handles: Mapping[str, JobHandle[Any]], queue: FlowQueue) -> None:
        self.flow_id, self.handles, self._queue = flow_id, dict(handles), queue

    def __getitem__(self, job: FlowJob[R]) -> JobHandle[R]:
        """The handle of a job of the flow."""
        return self.handles[job.ref]

    @property
    def ids(self) -> list[str]:
        """The ids of its jobs."""
        return [str(handle) for handle in self.handles.values()]

    @property
    def last(self) -> JobHandle[Any]:
        """The job that was added last: that of a chain or chord whose result is that of the whole."""
        return list(self.handles.values())[-1]

    def status(self) -> FlowStatus:
        """How far it is."""
        return self._queue.get_flow(self.flow_id)
