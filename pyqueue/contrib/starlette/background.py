"""Background tasks that survive: jobs that are stored before the response is sent."""

from __future__ import annotations

from types import TracebackType
from typing import Any, ParamSpec, Self

from pyqueue.core.engine.push import PushFlow
from pyqueue.core.errors import ConfigError
from pyqueue.core.options import new_job
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.call import Call
from pyqueue.core.tasks.task import Task, TaskPush
from pyqueue.core.validate import shown

P = ParamSpec("P")


class BackgroundTasks:
    """In place of Starlette's: what is added becomes jobs of the queue, all or none, at the end of the block.

        async with BackgroundTasks(queue) as background:
            background.add_task(send_welcome, "user@a.com")
        return JSONResponse({"ok": True})

    An error in the block stores nothing. Afterwards `ids` are those of the jobs, in order.
    """

    def __init__(self, queue: PyQueue) -> None:
        self._queue = queue
        self._calls: list[Call[Any]] = []
        self.ids: list[str] = []

    def add_task(self, func: Task[P, Any] | TaskPush[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Adds a job that calls `func`, a task or one with options (`task.options(delay_ms=60_000)`).

        Raises:
            ConfigError: it is no task. ValidationError: the arguments do not fit it.
        """
        if not isinstance(func, Task | TaskPush):
            raise ConfigError(
                f"add_task() got {shown(func)}; expected a task, since a job outlives this process and is found by its "
                "name. Put @queue.task above the function; or use the BackgroundTasks of the framework for what may "
                "be lost."
            )
        self._calls.append(func.call(*args, **kwargs))

    async def store(self) -> list[str]:
        """Stores what was added since the last time, in one transaction; gives the ids. Raises what `push` raises."""
        calls, self._calls = self._calls, []
        queues = {call.queue for call in calls}
        if len(queues) == 1:
            jobs = [{"name": call.name, "data": call.data, **call.options} for call in calls]
            ids = await self._queue.apush_many(queues.pop(), jobs)
        elif queues:
            flow = [new_job(call.name, call.data, call.options) for call in calls]
            ids = await self._queue.astore_flow(PushFlow(tuple(call.queue for call in calls), tuple(flow)))
        else:
            ids = []
        self.ids += ids
        return ids

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.store()
