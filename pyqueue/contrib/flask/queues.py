"""The handle of one application."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Unpack

from flask import Flask

from pyqueue.contrib.flask.configuration import Configuration
from pyqueue.contrib.flask.embedded import Embedded
from pyqueue.core.errors import ConfigError
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.running import TaskHandler
from pyqueue.core.worker.options import WorkerOptions
from pyqueue.core.worker.run import EitherHandler, Handler
from pyqueue.core.worker.worker import Worker


class AppQueue(PyQueue):
    """The queue of an application. Each of its jobs runs in a context of that application, which ends with the job.

    So `g`, database sessions and whatever else hangs on the context are the job's own.
    """

    def __init__(self, app: Flask, tasks: Tasks, configured: Configuration) -> None:
        super().__init__(configured.storage, durability=configured.durability)
        self._share(tasks)
        self._app, self._base_url = app, configured.base_url
        self.embedded = Embedded(self, configured.embedded_workers) if configured.embedded_workers else None
        if configured.eager:
            from pyqueue.testing import eager  # for tests only

            self._eager = eager(self)
            self._eager.__enter__()

    @property
    def app(self) -> Flask:
        """The application."""
        return self._app

    def url(self) -> str:
        """Where other processes find the queue, with its password if it has one."""
        return str(self._opening["url"])

    def context(self) -> AbstractContextManager[Any]:
        """That of a job: an application context, and with `PYQUEUE_BASE_URL` a request context for `url_for`."""
        if self._base_url is not None:
            return self._app.test_request_context(base_url=self._base_url)
        return self._app.app_context()

    def worker(
        self,
        queues: str | Sequence[str] | Mapping[str, int] | None = None,
        handler: Callable[[Job], Any] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> Worker:
        """`PyQueue.worker`, in contexts of the application.

        Raises:
            ConfigError: mode "process" with a handler, or without an `import_path` of `queue.of(app)`.
        """
        if options.get("mode") == "process":
            if handler is not None:
                raise ConfigError(
                    "mode 'process' runs the tasks of an application, and no other handler; leave it out."
                )
            if options.get("import_path") is None:
                raise ConfigError(
                    "mode 'process' has the jobs run by processes that make the application anew; expected "
                    "flask --app MODULE pyqueue worker --mode process, or here import_path='MODULE:NAME' of a "
                    "variable that is queue.of(app)."
                )
        return super().worker(queues, handler, **options)

    def runs(self, handler: Callable[[Job], Any] | None) -> Handler | EitherHandler:
        """What a worker calls for a job, in the context of the application."""
        return self._task_handler() if handler is None else self._surrounded(handler)

    def start_workers(self) -> None:
        """Starts the workers of `PYQUEUE_EMBEDDED_WORKERS` in this process now, not with its first request. Idempotent.

        Raises:
            ConfigError: there are none.
        """
        if self.embedded is None:
            raise ConfigError("PYQUEUE_EMBEDDED_WORKERS is 0; expected how many jobs may run here at the same time.")
        self.embedded.start()

    def _task_handler(self) -> TaskHandler:
        return InContext(self.tasks, self)

    def _surrounded(self, handler: Callable[[Job], Any]) -> Callable[[Job], Any]:
        surround = super()._surrounded
        if not inspect.iscoroutinefunction(surround(handler)):

            def run(job: Job) -> Any:
                with self.context():
                    return surround(handler)(job)

            return run

        async def arun(job: Job) -> Any:
            with self.context():
                return await surround(handler)(job)

        return arun

    def __repr__(self) -> str:
        return f"<AppQueue of {self._app.name!r} on {self.path}>"


class InContext(TaskHandler):
    """Runs each task in a context of the application.

    By a handler of its own, since what surrounds a run takes the context variables of the moment it is made.
    """

    def __init__(self, tasks: Tasks, queue: AppQueue) -> None:
        super().__init__(tasks, queue)
        self._of_app = queue

    def run(self, job: Job) -> Any:
        with self._of_app.context():
            return TaskHandler(self._tasks, self._queue).run(job)

    async def arun(self, job: Job) -> Any:
        with self._of_app.context():
            return await TaskHandler(self._tasks, self._queue).arun(job)
