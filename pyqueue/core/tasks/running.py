"""Running the task that a job names: what a worker without a handler of its own does."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal, NoReturn

from pyqueue.core.errors import UnknownTask
from pyqueue.core.job import Job
from pyqueue.core.tasks.around import Around
from pyqueue.core.tasks.context import ContextQueue, JobContext
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import AnyTask

_MODES: Final[tuple[tuple[Literal["thread", "async"], bool], ...]] = (("thread", False), ("async", True))


class TaskHandler:
    """A handler for workers: finds the task by the job's name, and calls it with the job's data."""

    def __init__(self, tasks: Tasks, queue: ContextQueue) -> None:
        self._tasks, self._queue = tasks, queue
        self._around = Around(queue)

    def modes(self) -> list[Literal["thread", "async"]]:
        """How the tasks are to be run: plain functions on threads, coroutine functions on an event loop."""
        kinds = {self._tasks.find(name) for name in self._tasks.names}
        asyncs = {task.is_async for task in kinds if task is not None}
        return [mode for mode, is_async in _MODES if is_async in asyncs or not asyncs]

    def is_async(self, job: Job) -> bool:
        """Whether the job is to run on the event loop, by `arun`."""
        task = self._tasks.find(job.name)
        return task is not None and task.is_async

    def run(self, job: Job) -> Any:
        """Runs a plain function. Raises what it raises, or the verdict of the task's policy."""
        task = self._task(job)
        arguments = self._arguments(task, job)
        try:
            return self._around.run(job, task.wraps, partial(task.function, **arguments))
        except Exception as error:
            _judge(task, job, error)

    async def arun(self, job: Job) -> Any:
        """`run` for a coroutine function."""
        task = self._task(job)
        arguments = self._arguments(task, job)
        try:
            return await self._around.arun(job, task.wraps, partial(task.function, **arguments))
        except Exception as error:
            _judge(task, job, error)

    def _task(self, job: Job) -> AnyTask:
        task = self._tasks.find(job.name)
        if task is None:
            raise UnknownTask(
                f"no task here is called {job.name!r}; known: {', '.join(self._tasks.names) or 'none'}. "
                "Deploy the code that has it, or give its task aliases=[…] if it was renamed; the job is tried again."
            )
        return task

    def _arguments(self, task: AnyTask, job: Job) -> dict[str, Any]:
        arguments = task.signature.decoded(job.data_json)
        if task.signature.context_name is not None:
            arguments[task.signature.context_name] = JobContext(job, self._queue)
        return arguments


def _judge(task: AnyTask, job: Job, error: Exception) -> NoReturn:
    verdict = task.policy.verdict_on(error, job.attempt + 1)
    if verdict is None:
        raise error
    raise verdict from error
