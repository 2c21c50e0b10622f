"""`queue.on(connection)`: the same calls inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, Unpack

import msgspec

from pyqueue.core import ids
from pyqueue.core.engine.finish import Ack
from pyqueue.core.engine.push import Push, PushFlow
from pyqueue.core.errors import ConfigError
from pyqueue.core.handle.producing import push_of, push_of_many
from pyqueue.core.handle.pushing import Pushing, surrounded
from pyqueue.core.handle.refs import AckItem, JobOrId, ack_items, acked
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import AckResult, JobOptions
from pyqueue.core.store.doors import is_async, session_of
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.store import Joined

R = TypeVar("R")


class BoundQueue:
    """A queue bound to an open transaction of the caller. It lives no longer than that transaction.

    Nothing is visible to others, and no worker is woken, before the caller commits; a rollback takes
    everything back. An operation that raises leaves the caller's transaction as it was before it.

    peewee databases and SQLAlchemy sessions tell of their commit, so workers are woken and signals sent
    at once. `sqlite3` and SQLAlchemy connections do not: workers notice within a tenth of a second,
    and no signals are sent.

    The a-twins are for SQLAlchemy's `AsyncSession` and `AsyncConnection`, and for these alone.
    """

    def __init__(self, runtime: Runtime, connection: Any, depth_max: int | None) -> None:
        self._runtime, self._depth_max = runtime, depth_max
        self._connection = session_of(connection)
        self._joined = None if is_async(self._connection) else runtime.store.join(self._connection)

    def push(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str:
        """`PyQueue.push` in the caller's transaction. The id is known at once, the job there at the commit."""
        return self._stored(push_of(queue, name, data, options, self._depth_max))[0]

    def push_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """`PyQueue.push_many` in the caller's transaction."""
        operation = push_of_many(queue, jobs, self._depth_max)
        return self._stored(operation) if operation.jobs else []

    async def apush(self, queue: str, name: str, data: Any = None, **options: Unpack[JobOptions]) -> str:
        """`push` for an async session or connection."""
        return await self._within(lambda bound: bound.push(queue, name, data, **options))

    async def apush_many(self, queue: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """`push_many` for an async session or connection."""
        return await self._within(lambda bound: bound.push_many(queue, jobs))

    def store_flow(self, operation: PushFlow) -> list[str]:
        """`PyQueue.store_flow` in the caller's transaction."""
        return self._stored(msgspec.structs.replace(operation, depth_max=self._depth_max))

    async def astore_flow(self, operation: PushFlow) -> list[str]:
        """`store_flow` for an async session or connection."""
        return await self._within(lambda bound: bound.store_flow(operation))

    def ack(self, job: JobOrId, result: Any = None, *, lease: int | None = None) -> None:
        """`PyQueue.ack` in the caller's transaction: what the job did and that it is done are one."""
        [error] = self._run(Ack((acked(job, lease, result),)))
        if error is not None:
            raise error

    async def aack(self, job: JobOrId, result: Any = None, *, lease: int | None = None) -> None:
        """`ack` for an async session or connection."""
        await self._within(lambda bound: bound.ack(job, result, lease=lease))

    def ack_many(self, items: Iterable[AckItem]) -> list[AckResult]:
        """`PyQueue.ack_many` in the caller's transaction."""
        acks = ack_items(items)
        return acks.results(self._run(Ack(acks.entries))) if acks.entries else []

    async def aack_many(self, items: Iterable[AckItem]) -> list[AckResult]:
        """`ack_many` for an async session or connection."""
        return await self._within(lambda bound: bound.ack_many(items))

    async def _within(self, call: Callable[[BoundQueue], R]) -> R:
        """Makes a call on the plain connection inside an async one, where SQLAlchemy turns waiting into awaiting."""
        if self._joined is not None:
            raise ConfigError(
                "on() got a plain connection, which would block the event loop; expected an AsyncSession or "
                "AsyncConnection of SQLAlchemy for the a-twins. Or push to it without await: on(connection).push(…)."
            )
        plain: R = await self._connection.run_sync(
            lambda inner: call(BoundQueue(self._runtime, inner, self._depth_max))
        )
        return plain

    @property
    def _transaction(self) -> Joined:
        if self._joined is None:
            raise ConfigError(
                "on() got an async session or connection, whose calls must be awaited: await on(session).apush(…)."
            )
        return self._joined

    def _stored(self, operation: Push | PushFlow) -> list[str]:
        wraps = self._runtime.push_wraps
        return surrounded(wraps, Pushing(operation, is_joined=True), self._store) if wraps else self._store(operation)

    def _store(self, operation: Push | PushFlow) -> list[str]:
        return ids.to_texts(self._run(operation), self._transaction.salt())

    def _run(self, operation: Operation[R]) -> R:
        return self._transaction.run(operation, self._runtime.after_commit)


class Joining:
    """The part of a handle that takes part in transactions of the caller."""

    _runtime: Runtime
    _depth_max: int | None

    def on(self, connection: Any) -> BoundQueue:
        """This queue inside the caller's open transaction: what is pushed commits or rolls back with the rest.

        `connection`: a peewee `Database`, a `sqlite3` or psycopg connection, or an SQLAlchemy `Connection`,
        `Session` or `scoped_session`, connected to the same file or database. With SQLAlchemy's `AsyncSession` or
        `AsyncConnection` await the a-twins: `await queue.on(session).apush(…)`.

        Raises:
            ConfigError: another kind of connection, or one to another database.
        """
        self._runtime.require_open()
        return BoundQueue(self._runtime, connection, self._depth_max)
