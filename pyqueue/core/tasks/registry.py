"""The tasks of a program, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from pyqueue.core import validate
from pyqueue.core.errors import ConfigError
from pyqueue.core.job import Job, JobOptions
from pyqueue.core.options import RULES
from pyqueue.core.schedule import Definition
from pyqueue.core.surround import giving_managers
from pyqueue.core.tasks.around import Wrap
from pyqueue.core.tasks.context import JobContext
from pyqueue.core.tasks.policy import Errors, FailurePolicy, RetryDelay
from pyqueue.core.tasks.task import AnyTask, AsyncTask, Task, TaskQueue
from pyqueue.core.tasks.timing import Timing

P = ParamSpec("P")
R = TypeVar("R")
Hook = TypeVar("Hook", bound=Callable[[Job], Any])

DEFAULT_QUEUE = "default"


class TaskDecorator(Protocol):
    """What `task(...)` with options gives: it turns a function into a task."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[JobContext, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[JobContext, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class Tasks(Timing):
    """A registry of tasks, for code that does not know the queue yet: `queue.include(tasks)` binds them."""

    def __init__(self, queue: TaskQueue | None = None) -> None:
        super().__init__()
        self._queue = queue
        self._outer: Tasks | None = None
        self._tasks: dict[str, AnyTask] = {}
        self._aliases: dict[str, AnyTask] = {}
        self._wraps: list[Wrap] = []

    @overload
    def task(self, function: Callable[Concatenate[JobContext, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[JobContext, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        aliases: Sequence[str] = (),
        retry_on: Errors | None = None,
        discard_on: Errors = (),
        retry_delay_ms: RetryDelay | None = None,
        **options: Unpack[JobOptions],
    ) -> TaskDecorator: ...

    def task(  # type: ignore[misc]  # mypy does not match the keys of a TypedDict with **options: Any
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        aliases: Sequence[str] = (),
        retry_on: Errors | None = None,
        discard_on: Errors = (),
        retry_delay_ms: RetryDelay | None = None,
        **options: Any,
    ) -> Any:
        """Turns a function into a task, bare or with options: `@tasks.task` or `@tasks.task(queue="emails")`.

        `name`: that of its jobs; by default the function's, with hyphens: `send_welcome` runs jobs called
        `send-welcome`, whoever pushes them. `aliases`: names it had before, whose jobs it runs too.
        `retry_on`: errors worth another attempt (None: all); others go to the dead letters at once.
        `discard_on`: errors that end the job as cancelled. `retry_delay_ms(attempt, error)`: the wait after a
        failure, in place of the backoff. Other options are those of each job: see `JobOptions`.

        Raises:
            ConfigError: another task has the name, or the function cannot be a task. ValidationError: an option.
        """
        validate.known_keys(options, RULES, "job option")
        policy = FailurePolicy(retry_on, discard_on, retry_delay_ms)

        def register(function: Callable[..., Any]) -> AnyTask:
            kind = AsyncTask if inspect.iscoroutinefunction(function) else Task
            task: AnyTask = kind(
                function,
                name=validate.job_name(name or function.__name__.replace("_", "-")),
                queue=validate.queue_name(queue),
                options=cast(JobOptions, options),
                policy=policy,
                home=self,
            )
            self._add(task, list(map(validate.job_name, aliases)))
            return task

        return register if function is None else register(function)

    def include(self, other: Tasks) -> None:
        """Takes over the tasks of another registry, present and future, which from now on push to this one's queue.

        Raises:
            ConfigError: a name is taken, or the other registry belongs to another queue.
        """
        if other is self or other._outer is self:
            return
        if other._outer is not None or other.queue is not None:
            raise ConfigError("these tasks belong to another queue already; expected a registry of its own per queue.")
        names = {
            task: [alias for alias, its in other._aliases.items() if its is task] for task in other._tasks.values()
        }
        for task, aliases in names.items():
            self._require_free(task, [task.name, *aliases])
        self._add_schedules(other._schedules)
        for task, aliases in names.items():
            self._add(task, aliases)
        other._outer = self

    def exclude(self, other: Tasks) -> None:
        """Lets the tasks of an included registry go, which may then be included elsewhere. Any other stays as it is."""
        if other._outer is self:
            self._drop(other)
            other._outer = None

    def wrap(self, hook: Hook) -> Hook:
        """Surrounds every run of these tasks (for a queue: of everything that its workers run) with the hook.

            @queue.wrap
            def timed(job):
                with timer(job.name):
                    yield

        The hook is a function of the job that yields once, or gives a context manager. It sees what the run raises,
        and may raise something else, or nothing: the job then completes without a result. What it raises itself is
        a failed attempt. A plain one surrounds plain and async runs alike (and must not block the event loop); one
        that is async surrounds async runs only. The first is the outermost; a queue's surround a registry's.
        """
        self._wraps.append(giving_managers(hook, "wrap"))
        return hook

    def find(self, name: str) -> AnyTask | None:
        """The task that runs jobs of this name."""
        return self._tasks.get(name) or self._aliases.get(name)

    @property
    def queue(self) -> TaskQueue | None:
        """The queue that the tasks push to, once there is one."""
        return self._queue if self._outer is None else self._outer.queue

    @property
    def wraps(self) -> list[Wrap]:
        """The hooks around the runs of these tasks, from the outermost inwards."""
        return self._wraps if self._outer is None else [*self._outer.wraps, *self._wraps]

    @property
    def names(self) -> list[str]:
        """The names of all tasks, in order."""
        return sorted(self._tasks)

    @property
    def queues(self) -> list[str]:
        """The queues that the tasks push to, in the order in which they were first named."""
        return list(dict.fromkeys(task.queue for task in self._tasks.values()))

    def _add(self, task: AnyTask, aliases: Sequence[str]) -> None:
        self._require_free(task, [task.name, *aliases])
        if self._outer is not None:
            self._outer._add(task, aliases)
        self._tasks[task.name] = task
        self._aliases.update(dict.fromkeys(aliases, task))

    def _add_schedules(self, schedules: Mapping[str, Callable[[], Definition]]) -> None:
        if self._outer is not None:
            self._outer._add_schedules(schedules)
        super()._add_schedules(schedules)

    def _drop(self, other: Tasks) -> None:
        if self._outer is not None:
            self._outer._drop(other)
        for ours, theirs in (
            (self._tasks, other._tasks), (self._aliases, other._aliases), (self._schedules, other._schedules)
        ):  # fmt: skip
            for name in theirs:
                del ours[name]

    def _require_free(self, task: AnyTask, names: Sequence[str]) -> None:
        for name in names:
            if self.find(name) not in (None, task):
                raise ConfigError(f"two tasks are called {name!r}; give one of them another name= or alias.")
