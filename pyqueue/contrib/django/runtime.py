"""The runtime of a handle whose transactions are Django's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from pyqueue.contrib.django.host import DjangoHost
from pyqueue.core.engine.processes import GoDeaf, Listen
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.store.hosted import Hosted
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.store import Store
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.store.wakeup import LISTEN_SECONDS

R = TypeVar("R")


class DjangoRuntime(Runtime):
    """Runs operations and queries on a connection of Django's, for event loops on the thread that has it.

    Connections of the engine's own are opened for two things only: to wait for what others commit, and for workers.
    """

    def __init__(self, store: Store, host: DjangoHost, *, sender: Any) -> None:
        super().__init__(store, sender=sender)
        self.hosted = hosted_on(host, store)

    def write(self, operation: Operation[R]) -> R:
        """Runs an operation inside the transaction that is open; without one it is committed when this returns."""
        self.require_open()
        return self.hosted.write(operation, self.after_commit)

    async def awrite(self, operation: Operation[R]) -> R:
        return await sync_to_async(self.write)(operation)

    def read(self, query: Callable[[Transaction], R]) -> R:
        """Runs a query, which sees what the open transaction has written."""
        self.require_open()
        return self.hosted.read(query)

    async def aread(self, query: Callable[[Transaction], R]) -> R:
        return await sync_to_async(self.read)(query)

    # Who waits listens by a connection of the engine's own, on a thread of its own.

    def register(self, port: int) -> None:
        super().write(Listen(port, int(LISTEN_SECONDS * 1_000)))

    def unregister(self, port: int) -> None:
        super().write(GoDeaf(port))

    @property
    def salt(self) -> int:
        """The salt of the ids, as Django's connection sees it."""
        return self.hosted.salt


def hosted_on(host: DjangoHost, store: Store) -> Hosted:
    """What runs operations on the host, whichever kind of database it has."""
    if not host.is_postgres:
        return Hosted(host, store)
    from pyqueue.core.store.postgres.hosted import HostedPostgres  # psycopg takes 100 ms, and most have no use for it
    from pyqueue.core.store.postgres.store import PostgresStore

    assert isinstance(store, PostgresStore)
    return HostedPostgres(host, store)
