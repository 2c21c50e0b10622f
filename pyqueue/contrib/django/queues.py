"""The handles of a Django project: one for its code, one for its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Unpack

from asgiref.sync import async_to_sync, sync_to_async
from django.db import close_old_connections, connections, reset_queries

from pyqueue.contrib.django.configuration import Configuration
from pyqueue.contrib.django.host import DjangoHost
from pyqueue.contrib.django.runtime import DjangoRuntime, hosted_on
from pyqueue.core import config
from pyqueue.core.clock import Clock, SystemClock
from pyqueue.core.config import MEMORY
from pyqueue.core.errors import ConfigError, InvalidState
from pyqueue.core.handle.pushing import Pushing
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.store.hosted import Hosted
from pyqueue.core.store.store import Store
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.running import TaskHandler
from pyqueue.core.worker.drain import DrainReport
from pyqueue.core.worker.options import WorkerOptions
from pyqueue.core.worker.run import EitherHandler, Handler, Mode
from pyqueue.core.worker.worker import Worker

_CHILDREN_RUN: Final = "pyqueue.contrib.django.child:queue"


class ProjectQueue(PyQueue):
    """A handle with the tasks of the project, and workers that treat each job as Django treats a request."""

    def __init__(self, url: str, tasks: Tasks, *, durability: str = "power", clock: Clock | None = None) -> None:
        super().__init__(url, durability=durability, clock=clock)
        self._share(tasks)

    def worker_url(self) -> str:
        """Where workers find the queue."""
        return self.path

    def worker(
        self,
        queues: str | Sequence[str] | Mapping[str, int] | None = None,
        handler: Callable[[Job], Any] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> Worker:
        """A worker on connections of the engine's own; what it runs has Django's connections, as in a request."""
        url = self.worker_url()
        if url == MEMORY:
            raise ConfigError(
                "this database is in memory, where a worker cannot see it; run the jobs here: queue.drain()."
            )
        if options.get("mode") == "process":
            if handler is not None:
                raise ConfigError(
                    "mode 'process' runs the tasks of a Django project, and no other handler; leave it out."
                )
            options.setdefault("import_path", _CHILDREN_RUN)
        return WorkerSide(url, self).worker(queues, handler, **options)


class DjangoQueue(ProjectQueue):
    """The queue on a connection of Django's: what is done inside `transaction.atomic()` is part of it."""

    def __init__(self, alias: str, tasks: Tasks, *, clock: Clock | None = None) -> None:
        """`alias`: that of a database in DATABASES.

        Raises:
            ConfigError: the database is neither SQLite nor PostgreSQL.
        """
        self._host = DjangoHost(alias)
        super().__init__(self._host.url(), tasks, clock=clock)

    def worker_url(self) -> str:
        """The database as it is now: tests put another one in its place."""
        return self._host.url()

    async def adrain(
        self,
        queues: str | Sequence[str] | None = None,
        handler: Callable[[Job], Any] | None = None,
        *,
        moves_clock: bool = True,
        raises: bool = False,
    ) -> DrainReport:
        """`drain` on the thread that has Django's connection."""
        return await sync_to_async(self.drain)(queues, handler, moves_clock=moves_clock, raises=raises)

    def _task_handler(self) -> TaskHandler:
        return HereHandler(self.tasks, self)

    def _runtime_on(self, store: Store) -> Runtime:
        return DjangoRuntime(store, self._host, sender=self)

    def __repr__(self) -> str:
        return f"<DjangoQueue {self._host.alias}>"


class StorageQueue(ProjectQueue):
    """The queue in a place of its own, where it cannot be part of Django's transactions."""

    def __init__(self, url: str, tasks: Tasks, *, durability: str) -> None:
        super().__init__(url, tasks, durability=durability)
        self._opening_url = str(url)
        self.wrap_push(_outside_of_transactions)

    def worker_url(self) -> str:
        return self._opening_url


class WorkerSide(PyQueue):
    """The queue as a worker of the project sees it."""

    def __init__(self, url: str, project: ProjectQueue) -> None:
        super().__init__(url)
        self.tasks, self._project = project.tasks, project

    def runs(self, handler: Callable[[Job], Any] | None) -> Handler | EitherHandler:
        """What the project would run, with its connections opened and closed around each job."""
        inner = self._project.runs(handler)
        return LikeRequests(inner) if isinstance(inner, TaskHandler) else _like_request(inner)


class HereHandler(TaskHandler):
    """Runs async tasks too from the calling thread, so that what they do by `sync_to_async` is on its connection."""

    def is_async(self, job: Job) -> bool:
        return False

    def run(self, job: Job) -> Any:
        if not super().is_async(job):
            return super().run(job)

        async def within() -> Any:
            # A handler of its own: the context that jobs are run in must be that of this call, in which asgiref
            # keeps the thread that waits for it.
            return await TaskHandler(self._tasks, self._queue).arun(job)

        return async_to_sync(within)()


class LikeRequests:
    """Runs tasks with Django's connections as in a request: too old ones are closed before and after."""

    def __init__(self, tasks: TaskHandler) -> None:
        self._tasks = tasks

    def modes(self) -> Sequence[Mode]:
        return self._tasks.modes()

    def is_async(self, job: Job) -> bool:
        return self._tasks.is_async(job)

    def run(self, job: Job) -> Any:
        _tidy()
        try:
            return self._tasks.run(job)
        finally:
            _tidy()

    async def arun(self, job: Job) -> Any:
        await sync_to_async(_tidy)()
        try:
            return await self._tasks.arun(job)
        finally:
            await sync_to_async(_tidy)()


def queue_of(configuration: Configuration, tasks: Tasks) -> ProjectQueue:
    """The handle that the settings ask for."""
    if configuration.storage is not None:
        return StorageQueue(configuration.storage, tasks, durability=configuration.durability)
    return DjangoQueue(configuration.database, tasks)


def hosted_by(alias: str) -> Hosted:
    """The engine on a connection of Django's, for what belongs to no handle: migrations, emptied tables."""
    host = DjangoHost(alias)
    store = config.store_of(host.url(), durability="power", clock=SystemClock(), logs_events=True)
    return hosted_on(host, store)


def _like_request(handler: Any) -> Callable[[Job], Any]:
    def run(job: Job) -> Any:
        _tidy()
        try:
            return handler(job)
        finally:
            _tidy()

    return run


def _tidy() -> None:
    reset_queries()
    close_old_connections()


def _outside_of_transactions(pushing: Pushing) -> Any:
    """Refuses what looks like part of a transaction but would not be: the job would run also after a rollback."""
    for connection in connections.all(initialized_only=True):
        # The transactions of TestCase never commit, so they are none to wait for.
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise InvalidState(
                f"a push to {pushing.queue!r} inside transaction.atomic(), but the queue has a storage of its own "
                "and would keep the job whatever becomes of the transaction; expected it after the commit: "
                "transaction.on_commit(lambda: task.push(…)). Or leave out STORAGE, and it is part of it."
            )
    yield
