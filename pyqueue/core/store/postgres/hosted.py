"""Operations on the connection of a host to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from pyqueue.core.store.hosted import Host, Hosted
from pyqueue.core.store.postgres.errors import is_collision
from pyqueue.core.store.postgres.store import PostgresStore
from pyqueue.core.store.postgres.transaction import PostgresTransaction
from pyqueue.core.store.transaction import Transaction

R = TypeVar("R")

_TRIES: Final = 3


class HostedPostgres(Hosted):
    """Runs operations and queries on a host's connection to PostgreSQL."""

    _is_postgres = True
    _store: PostgresStore

    def __init__(self, host: Host, store: PostgresStore) -> None:
        super().__init__(host, store)

    def _begun(self, salt: int) -> Transaction:
        store = self._store
        return PostgresTransaction(
            self._host, now_us=store.clock.now_us(), salt=salt, ahead=store.ahead, channel=store.channel
        )

    def _transaction(self, salt: int) -> Transaction:
        return PostgresTransaction(self._host, now_us=self._store.clock.now_us(), salt=salt)

    def _before_commit(self, transaction: Transaction) -> None:
        assert isinstance(transaction, PostgresTransaction)
        transaction.tell()  # Heard when the host commits; if it rolls back, nobody hears of it.

    def _guarded(self, run: Callable[[], R], *, in_savepoint: bool = True) -> R:
        for attempt in range(1, _TRIES + 1):
            try:
                with self._around(in_savepoint):
                    return run()
            except Exception as error:
                # A unique key that another has taken meanwhile: this time it is seen, and refused by its name.
                if attempt < _TRIES and is_collision(error.__cause__ or error):
                    continue
                self._raise(error)
        raise AssertionError
