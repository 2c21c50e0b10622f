"""`PyQueue`: the handle of a queue."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from pyqueue.core import config, limits
from pyqueue.core.clock import Clock, SystemClock
from pyqueue.core.handle.explaining import Explaining
from pyqueue.core.handle.flowing import Flowing
from pyqueue.core.handle.following import Following
from pyqueue.core.handle.hooking import Hooking
from pyqueue.core.handle.intervening import Intervening
from pyqueue.core.handle.limiting import Limiting
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.handle.selecting import Selecting
from pyqueue.core.handle.serving import Serving
from pyqueue.core.housekeeper import Housekeeper
from pyqueue.core.store.store import Store
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.validate import boolean, integer


class PyQueue(Flowing, Following, Intervening, Selecting, Limiting, Explaining, Hooking, Serving):
    """Persistent job queues in one file, or in PostgreSQL.

        queue = PyQueue("jobs.db")
        queue.push("emails", "send-welcome", {"to": "user@a.com"})
        [job] = queue.pull("emails")
        queue.ack(job)

    A handle may be used by any number of threads and event loops, and any number of
    processes may open the same file. Each method has a twin for event loops with an `a`
    before its name. Constructing opens nothing: the file is opened, and if need be
    created, at the first use.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        durability: str = "power",
        lease_ms: int = limits.LEASE_MS_DEFAULT,
        logs_events: bool = True,
        max_flow_depth: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`url`: a path, `sqlite:///relative.db`, `sqlite:////absolute.db`, or `postgresql://user@host/database`.

        `durability`: what an acknowledged change survives; "power" (a power failure) or
        "process" (`kill -9`; the last moments before a power failure may be lost).
        `lease_ms`: how long a pulled job is its worker's without a heartbeat, unless `pull` says otherwise.

        `max_flow_depth`: the longest chain of parents that a job may be pushed under; None for any, since
        neither time nor memory depends on it.
        `logs_events`: write down what happens for `events()`; every process on a file should agree.

        Raises:
            ConfigError: the URL or the durability is none of these.
        """
        self._depth_max = (
            None if max_flow_depth is None else integer(max_flow_depth, "max_flow_depth", 0, limits.FLOW_DEPTH_MAX)
        )
        self._clock, logs = clock or SystemClock(), boolean(logs_events, "logs_events")
        store = config.store_of(url, durability=config.durability(durability), clock=self._clock, logs_events=logs)
        self.path = store.path
        self._lease_ms = integer(lease_ms, "lease_ms", limits.LEASE_MS_MIN, limits.LEASE_MS_MAX)
        self._runtime = self._runtime_on(store)
        # What another process needs to open the same. The path of PostgreSQL is without its password.
        self._opening = {
            "url": str(url) if config.is_postgres(url) else store.path,
            "durability": durability, "lease_ms": self._lease_ms, "logs_events": logs_events,
        }  # fmt: skip
        self._share(Tasks(self))
        self._housekeeper = Housekeeper(self._runtime)
        self._housekeeping = threading.Lock()

    def _share(self, tasks: Tasks) -> None:
        """Makes the tasks of a registry those of this handle; other handles may have the same."""
        self.tasks = tasks
        self.task, self.wrap, self.cron, self.every = tasks.task, tasks.wrap, tasks.cron, tasks.every

    def _runtime_on(self, store: Store) -> Runtime:
        """What runs the operations of this handle; for handles whose transactions are those of a framework."""
        return Runtime(store, sender=self)

    @classmethod
    def memory(cls, *, clock: Clock | None = None) -> Self:
        """A queue in memory, for tests: the same engine, gone with the handle."""
        return cls(config.MEMORY, clock=clock)

    @contextmanager
    def lent_to_memory(self, *, clock: Clock | None = None) -> Iterator[None]:
        """Within the block this handle works on a new database in memory. For `pyqueue.testing.in_memory`."""
        own = self._runtime, self._housekeeper, self._clock
        self._clock = clock or SystemClock()
        store = config.store_of(
            config.MEMORY, durability=config.durability("process"), clock=self._clock, logs_events=True
        )
        runtime = Runtime(store, sender=self)
        runtime.push_wraps = self._runtime.push_wraps
        self._runtime, self._housekeeper = runtime, Housekeeper(runtime)
        try:
            yield
        finally:
            self._housekeeper.stop()
            runtime.close()
            self._runtime, self._housekeeper, self._clock = own

    def close(self) -> None:
        """Finishes what was begun and lets go of the file. Idempotent; later calls raise QueueClosed."""
        self._housekeeper.stop()
        self._runtime.close()

    async def aclose(self) -> None:
        """`close` for event loops."""
        await self._runtime.arun(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<PyQueue {self.path}>"
