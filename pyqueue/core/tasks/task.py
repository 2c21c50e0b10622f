"""A function that can be pushed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast

import msgspec

from pyqueue.core.errors import ConfigError, ValidationError
from pyqueue.core.job import Job, JobOptions
from pyqueue.core.tasks.around import Wrap
from pyqueue.core.tasks.call import Call
from pyqueue.core.tasks.context import JobContext
from pyqueue.core.tasks.policy import FailurePolicy
from pyqueue.core.tasks.signature import Signature
from pyqueue.core.validate import shown

P = ParamSpec("P")
R = TypeVar("R")


class Pusher(Protocol):
    """What stores jobs: a queue, or a queue inside a transaction of the caller."""

    def push(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str: ...

    def push_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]: ...

    async def apush(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str: ...

    async def apush_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]: ...


class TaskQueue(Pusher, Protocol):
    """The calls of a queue that pushing tasks needs."""

    def on(self, connection: Any) -> Pusher: ...

    def get_job(self, job: str, /) -> Job: ...

    def wait_for(self, job: str, /, timeout: float | None = None) -> Any: ...

    async def await_for(self, job: str, /, timeout: float | None = None) -> Any: ...


class Home(Protocol):
    """The registry that a task was defined in."""

    @property
    def queue(self) -> TaskQueue | None: ...

    @property
    def wraps(self) -> Sequence[Wrap]: ...


class JobHandle(str, Generic[R]):
    """The id of a pushed job, with which its result can be waited for. A text: it can be stored and passed on."""

    _queue: TaskQueue
    _result_type: Any

    @classmethod
    def of(cls, job_id: str, queue: TaskQueue, result_type: Any) -> JobHandle[R]:
        """The handle of a job that was pushed to the queue."""
        handle: JobHandle[R] = cls(job_id)
        handle._queue, handle._result_type = queue, result_type
        return handle

    def job(self) -> Job:
        """The job as it is now. Raises JobNotFound."""
        return self._queue.get_job(str(self))

    def result(self, timeout: float | None = None) -> R:
        """Waits for the job to finish and gives what the task returned. `timeout` in seconds; None waits for ever.

        Raises:
            JobFailed: it used up its attempts. JobCancelled. JobNotFound. WaitTimeout: the job goes on.
            ValidationError: the result is not of the type that the task says.
        """
        return self._typed(self._queue.wait_for(str(self), timeout))

    async def aresult(self, timeout: float | None = None) -> R:
        """`result` for event loops; `await handle` is the same without a timeout."""
        return self._typed(await self._queue.await_for(str(self), timeout))

    def __await__(self) -> Generator[Any, None, R]:
        return self.aresult().__await__()

    def _typed(self, result: Any) -> R:
        try:
            return cast(R, msgspec.convert(result, self._result_type, str_keys=True))
        except msgspec.ValidationError as error:
            raise ValidationError(
                f"job {self} has the result {shown(result)}, which is not what its task says it returns ({error}); "
                "look at job().result for what is there."
            ) from error


class Task(Generic[P, R]):
    """A function as a job. Call it to run it here; push it to run it in a worker."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str,
        queue: str,
        options: JobOptions,
        policy: FailurePolicy,
        home: Home,
    ) -> None:
        self.function, self.name, self.queue, self.policy = function, name, queue, policy
        self.signature = Signature(function, name)
        self._options, self._home = options, home
        self.__doc__, self.__name__ = function.__doc__, getattr(function, "__name__", name)
        self.__wrapped__ = function

    @property
    def is_async(self) -> bool:
        """Whether it runs on the worker's event loop."""
        return inspect.iscoroutinefunction(self.function)

    @property
    def wraps(self) -> Sequence[Wrap]:
        """What surrounds its runs, from the outermost inwards."""
        return self._home.wraps

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function here and now, without a job."""
        context_name = self.signature.context_name
        if context_name is None or context_name in kwargs:
            return cast(R, self.function(*args, **kwargs))
        arguments = self.signature.bound(args, kwargs)
        return cast(R, self.function(**arguments, **{context_name: JobContext()}))

    def push(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Stores a job that will run the function with these arguments. When this returns, it is on disk.

        Raises:
            ValidationError: the arguments do not fit the function; the message names the parameter.
            ConfigError: the task belongs to no queue yet. And what `PyQueue.push` raises.
        """
        return self.options().push(*args, **kwargs)

    async def apush(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """`push` for event loops."""
        return await self.options().apush(*args, **kwargs)

    def map(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """Stores a job for each of `calls` (a mapping of arguments, a tuple, or one argument), all or none."""
        return self.options().map(calls)

    async def amap(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """`map` for event loops."""
        return await self.options().amap(calls)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """A call with these arguments, not pushed but to be part of a flow or batch. Raises ValidationError."""
        return self.options().call(*args, **kwargs)

    enqueue = push  # As Django and RQ call it.
    delay = push  # As Celery calls it.

    def options(self, *, queue: str | None = None, **options: Unpack[JobOptions]) -> TaskPush[P, R]:
        """The task with other job options, or for another queue, for the pushes that follow."""
        return TaskPush(self, queue or self.queue, cast(JobOptions, {**self._options, **options}))

    @property
    def job_options(self) -> JobOptions:
        """The options of its jobs, where a push gives no others."""
        return self._options

    def on(self, connection: Any) -> JoinedTaskPush[P, R]:
        """The task inside the caller's open transaction: what is pushed commits or rolls back with the rest.

        See `PyQueue.on` for the kinds of connections.
        """
        return self.options().on(connection)

    def owner(self) -> TaskQueue:
        """The queue that it pushes to."""
        owner = self._home.queue
        if owner is None:
            raise ConfigError(f"task {self.name!r} belongs to no queue yet; call queue.include(tasks) first.")
        return owner

    def __repr__(self) -> str:
        return f"<task {self.name!r} of queue {self.queue!r}>"


class TaskPush(Generic[P, R]):
    """A task with the options that its jobs are to have."""

    def __init__(self, task: Task[P, R], queue: str, options: JobOptions) -> None:
        self._task, self._queue, self._options = task, queue, options

    def push(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """See `Task.push`."""
        return self._push_to(self._task.owner(), args, kwargs)

    async def apush(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """See `Task.apush`."""
        return await self._apush_to(self._task.owner(), args, kwargs)

    def map(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """See `Task.map`."""
        return self._map_to(self._task.owner(), calls)

    async def amap(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """See `Task.amap`."""
        return await self._amap_to(self._task.owner(), calls)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """See `Task.call`."""
        task, given = self._task, self._task.signature.bound(args, kwargs)
        return Call(task.signature, given, queue=self._queue, name=task.name, options=self._options, owner=task.owner)

    def on(self, connection: Any) -> JoinedTaskPush[P, R]:
        """See `Task.on`."""
        return JoinedTaskPush(self, self._task.owner().on(connection))

    enqueue = push
    delay = push

    def _push_to(self, pusher: Pusher, args: Sequence[Any], kwargs: Mapping[str, Any]) -> JobHandle[R]:
        data = self._task.signature.arguments_of(args, kwargs)
        return self._handle(pusher.push(self._queue, self._task.name, data, **self._options))

    async def _apush_to(self, pusher: Pusher, args: Sequence[Any], kwargs: Mapping[str, Any]) -> JobHandle[R]:
        data = self._task.signature.arguments_of(args, kwargs)
        return self._handle(await pusher.apush(self._queue, self._task.name, data, **self._options))

    def _map_to(self, pusher: Pusher, calls: Iterable[Any]) -> list[JobHandle[R]]:
        return [self._handle(job_id) for job_id in pusher.push_many(self._queue, self._jobs(calls))]

    async def _amap_to(self, pusher: Pusher, calls: Iterable[Any]) -> list[JobHandle[R]]:
        return [self._handle(job_id) for job_id in await pusher.apush_many(self._queue, self._jobs(calls))]

    def _jobs(self, calls: Iterable[Any]) -> list[dict[str, Any]]:
        if isinstance(calls, str | bytes | Mapping):
            raise ValidationError(f"map() got {shown(calls)}; expected a list with the arguments of one job each.")
        return [{"name": self._task.name, "data": self._data(call), **self._options} for call in calls]

    def _data(self, call: Any) -> dict[str, Any]:
        if isinstance(call, Mapping):
            return self._task.signature.arguments_of((), call)
        return self._task.signature.arguments_of(call if isinstance(call, tuple) else (call,), {})

    def _handle(self, job_id: str) -> JobHandle[R]:
        return JobHandle.of(job_id, self._task.owner(), self._task.signature.result_type)


class JoinedTaskPush(Generic[P, R]):
    """A task with the options that its jobs are to have, inside an open transaction of the caller."""

    def __init__(self, form: TaskPush[P, R], pusher: Pusher) -> None:
        self._form, self._pusher = form, pusher

    def push(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """`Task.push` in the caller's transaction: the id is known at once, the job there at the commit."""
        return self._form._push_to(self._pusher, args, kwargs)

    async def apush(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """`push` for an async session or connection."""
        return await self._form._apush_to(self._pusher, args, kwargs)

    def map(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """`Task.map` in the caller's transaction."""
        return self._form._map_to(self._pusher, calls)

    async def amap(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """`map` for an async session or connection."""
        return await self._form._amap_to(self._pusher, calls)


class AsyncTask(Task[P, R]):
    """A task written as `async def`: calling it gives a coroutine, its jobs run on the worker's event loop."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]  # to be awaited
        """Runs the function here, without a job."""
        return cast(Coroutine[Any, Any, R], super().__call__(*args, **kwargs))


AnyTask = Task[..., Any]
