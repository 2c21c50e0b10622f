"""What a handle is made of, wired together: store, committer, wake-ups, signals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pyqueue.core import ids
from pyqueue.core.announcer import Announcer
from pyqueue.core.clock import Clock
from pyqueue.core.engine.processes import GoDeaf, Listen
from pyqueue.core.errors import QueueClosed
from pyqueue.core.handle.pushing import PushWrap
from pyqueue.core.states import COMPLETED
from pyqueue.core.store import fork
from pyqueue.core.store.committer import Committer
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.store import Bell, Store
from pyqueue.core.store.transaction import Effects, Transaction
from pyqueue.core.store.wakeup import ALL_WAITERS, EVENTS_TOPIC, LISTEN_SECONDS, Wakeups, job_topic

if TYPE_CHECKING:  # Imported where an event loop is at work: an import of pyqueue need not wait for them.
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

R = TypeVar("R")

# Reads of event loops run here: never in the loop's default pool, which user code may fill.
_READ_THREADS = 2


class Runtime:
    """Runs operations and queries, for threads and for event loops."""

    def __init__(self, store: Store, *, sender: Any) -> None:
        self.clock: Clock = store.clock
        self.store = store
        self.wakeups = Wakeups(self)
        self.announcer = Announcer(sender)
        self._committer = Committer(self.store, self.after_commit)
        self.push_wraps: list[PushWrap] = []
        self._due_listeners: list[Callable[[int], None]] = []
        self._is_closed = False
        self.after_fork(is_child=False)
        fork.watch(self)

    def before_fork(self) -> None:
        """Brings the connections to rest."""
        self.store.before_fork()

    def after_fork_in_parent(self) -> None:
        """Goes on as before."""
        self.store.after_fork_in_parent()

    def after_fork(self, *, is_child: bool = True) -> None:
        """Begins afresh in a forked child."""
        self._mutex = threading.Lock()
        self._readers: ThreadPoolExecutor | None = None
        if is_child:
            for part in (self.store, self.wakeups, self.announcer, self._committer):
                part.after_fork()
            self._due_listeners.clear()

    def write(self, operation: Operation[R]) -> R:
        """Runs an operation; it is committed when this returns."""
        return self._committer.submit(operation)

    async def awrite(self, operation: Operation[R]) -> R:
        return await self._committer.asubmit(operation)

    def write_all(self, operations: Sequence[Operation[Any]], deliver: Callable[[list[Any]], None]) -> None:
        """Runs operations in their order, and delivers the outcomes of all in one call on the running loop."""
        self._committer.submit_all(operations, deliver)

    def read(self, query: Callable[[Transaction], R]) -> R:
        """Runs a query on one snapshot."""
        self.require_open()
        return self.store.read(query)

    async def aread(self, query: Callable[[Transaction], R]) -> R:
        from asyncio import get_running_loop
        from concurrent.futures import ThreadPoolExecutor

        self.require_open()
        with self._mutex:
            if self._readers is None:
                self._readers = ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="pyqueue-read")
        return await get_running_loop().run_in_executor(self._readers, self.store.read, query)

    async def arun(self, function: Callable[[], R]) -> R:
        """Runs a function that may block for long on a thread of its own."""
        from asyncio import get_running_loop

        loop = get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def run() -> None:
            try:
                result = function()
            except BaseException as error:
                loop.call_soon_threadsafe(_settle, future.set_exception, error, future)
            else:
                loop.call_soon_threadsafe(_settle, future.set_result, result, future)

        threading.Thread(target=run, name="pyqueue-blocking", daemon=True).start()
        return await future

    def after_commit(self, effects: Effects) -> None:
        """Wakes and announces what a committed transaction has changed."""
        if self.wakeups.is_anyone_waiting:
            self.wakeups.notify(effects.wakes | _told(effects))
        if effects.ports and effects.wakes:
            self.wakeups.ring(effects.ports)
        if effects.due_us is not None:
            for listener in self._due_listeners:
                listener(effects.due_us)
        if effects.changes:
            self.announcer.announce(effects.changes, salt=effects.salt, at_us=effects.now_us)
        if effects.trips:
            self.announcer.announce_trips(effects.trips, at_us=effects.now_us)
        if effects.firings is not None:
            self.announcer.announce_firings(effects.firings)

    @property
    def salt(self) -> int:
        """The salt of the ids of this database."""
        return self.store.salt

    def key_of(self, job_id: str) -> int:
        """The key of an id text, by arithmetic."""
        return ids.to_key(job_id, self.salt)

    def text_of(self, key: int) -> str:
        return ids.to_text(key, self.salt)

    # --- how `wakeups` reaches other processes ---------------------------------------------------

    def register(self, port: int) -> None:
        """Leaves the port where other processes find it."""
        self.write(Listen(port, int(LISTEN_SECONDS * 1_000)))

    def unregister(self, port: int) -> None:
        """Takes the port back."""
        self.write(GoDeaf(port))

    def new_bell(self) -> Bell:
        """How this process wakes others, and is woken."""
        return self.store.new_bell()

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        return self.store.data_version()

    def on_due(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Calls `listener` with each new moment at which something falls due; gives a function that ends it."""
        self._due_listeners.append(listener)
        return lambda: self._due_listeners.remove(listener) if listener in self._due_listeners else None

    def close(self) -> None:
        """Commits and announces what was begun, then lets go of everything. Idempotent."""
        if self._is_closed:
            return
        self.wakeups.close()
        self._is_closed = True
        self.wakeups.notify_all()  # Those who looked once more, and found it open, before the line above.
        self._committer.close()
        self.announcer.drain(5.0)
        if self._readers is not None:
            self._readers.shutdown(wait=True)
        self.store.close()

    def require_open(self) -> None:
        """Raises QueueClosed after `close`."""
        if self._is_closed:
            raise QueueClosed("this queue handle was closed; open a new PyQueue on the same path.")


def _told(effects: Effects) -> dict[str, int]:
    """The topics of the event log and of the jobs that came to an end, each with more waiters than there can be."""
    if not effects.changes:
        return {}
    return {EVENTS_TOPIC: ALL_WAITERS} | {
        job_topic(key): ALL_WAITERS
        for change in effects.changes
        if change.state is None or change.state >= COMPLETED
        for key in change.keys
    }


def _settle(setter: Callable[[Any], None], outcome: Any, future: asyncio.Future[Any]) -> None:
    if not future.done():
        setter(outcome)
