"""The life of a queue in an ASGI application: opened before the first request, closed after the last."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any, Final

from starlette.requests import HTTPConnection

from pyqueue.core import validate
from pyqueue.core.errors import ConfigError
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
Queues = str | Sequence[str] | Mapping[str, int]

# What runs may go on for so long after the requests have ended: Docker kills after 10 s.
GRACE_MS: Final = 8_000
WORKERS_MAX: Final = 1_000
# Names in the state of a request.
_QUEUE: Final = "pyqueue"
_ENDING: Final = "pyqueue_ending"


class Ending:
    """Whether the server has been told to end. What goes on without end looks at it: a server waits for that first."""

    def __init__(self) -> None:
        self.is_over = False
        self._listeners: list[Callable[[], object]] = []

    def then(self, listener: Callable[[], None]) -> None:
        """Calls the listener when that is so, on the running loop."""
        loop = asyncio.get_running_loop()
        self._listeners.append(lambda: loop.call_soon_threadsafe(listener))
        if self.is_over:
            loop.call_soon(listener)

    def tell(self) -> None:
        """Says so. May be called by a signal handler."""
        self.is_over = True
        for listener in self._listeners:
            listener()


def lifespan(
    storage: PyQueue | str | os.PathLike[str],
    *,
    workers: int = 0,
    queues: Queues | None = None,
    tasks: Tasks | Sequence[Tasks] = (),
    inner: Lifespan | None = None,
    grace_ms: int = GRACE_MS,
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """The `lifespan` of an application with a queue: `FastAPI(lifespan=lifespan("jobs.db", workers=4))`.

    `storage`: a queue, which stays open at the end, or where one is to be opened and closed (see `PyQueue`), with
    the tasks of the registries `tasks`. `workers`: as many jobs run in this process at a time, async ones on an event
    loop of their own, of `queues` (None: all that the tasks push to); every process of the server has so many. At the
    end what runs has `grace_ms` to finish and is given back after that. `inner`: another lifespan, which begins
    when the queue is there (as `app.state.pyqueue`) and ends before it. The server must run on asyncio.

    Raises:
        ValidationError: a number is out of range. Starting the application raises StorageError if the storage
        cannot be used, and ConfigError if there is nothing for the workers to do.
    """
    validate.integer(workers, "workers", 0, WORKERS_MAX)
    registries = (tasks,) if isinstance(tasks, Tasks) else tuple(tasks)

    @asynccontextmanager
    async def within(app: Any) -> AsyncIterator[dict[str, Any]]:
        ending = Ending()
        async with _opened(storage, registries) as queue, _working(queue, workers, queues, grace_ms):
            app.state.pyqueue = queue
            with _told_by_signals(ending):
                own = {_QUEUE: queue, _ENDING: ending}
                if inner is None:
                    yield own
                else:
                    async with inner(app) as state:
                        yield {**(state or {}), **own}

    return within


async def get_queue(connection: HTTPConnection) -> PyQueue:
    """The queue of the application that serves the request; as a dependency of FastAPI, or to be awaited.

    Raises:
        ConfigError: the application has none.
    """
    return queue_of(connection.scope)


def queue_of(scope: Mapping[str, Any]) -> PyQueue:
    """The queue in the scope of a request. It is in those of mounted applications too."""
    queue = scope.get("state", {}).get(_QUEUE)
    if not isinstance(queue, PyQueue):
        raise ConfigError(
            "this application has no queue; expected one that its lifespan has opened: "
            "FastAPI(lifespan=lifespan('jobs.db')). In tests a TestClient runs it inside `with TestClient(app)`; "
            "or override the dependency: app.dependency_overrides[get_queue] = lambda: queue."
        )
    return queue


def ending_of(scope: Mapping[str, Any]) -> Ending:
    """How a request learns of the end of its server; without a lifespan of ours, never."""
    ending = scope.get("state", {}).get(_ENDING)
    return ending if isinstance(ending, Ending) else Ending()


@asynccontextmanager
async def _opened(storage: PyQueue | str | os.PathLike[str], registries: Sequence[Tasks]) -> AsyncIterator[PyQueue]:
    """The queue, with its file open and its tables made: what is wrong with it shows before the first request."""
    queue = storage if isinstance(storage, PyQueue) else PyQueue(storage)
    try:
        for tasks in registries:
            queue.include(tasks)
        await queue.aworkers()
        yield queue
    finally:
        if queue is not storage:
            for tasks in registries:
                queue.tasks.exclude(tasks)
            await queue.aclose()


@asynccontextmanager
async def _working(queue: PyQueue, workers: int, queues: Queues | None, grace_ms: int) -> AsyncIterator[None]:
    if not workers:
        yield
        return
    from pyqueue.core.worker.embedded import EmbeddedWorker  # Most servers leave the work to other processes.

    embedded = EmbeddedWorker(queue.worker(queues, concurrency=workers, grace_ms=grace_ms))
    embedded.start()
    try:
        yield
    finally:
        await asyncio.wait([asyncio.wrap_future(embedded.stop())])


@contextmanager
def _told_by_signals(ending: Ending) -> Iterator[None]:
    """Tells of a signal to end before the server handles it.

    ASGI tells an application of the end only when all connections are closed, and a stream would keep one open.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        ending.tell()
        before[number](number, frame)

    ours = [number for number, handler in before.items() if callable(handler)]
    for number in ours:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is handle:
                signal.signal(number, before[number])
