"""Operations on the connection of a host: a framework that has connections and transactions of its own.

Unlike a caller's connection (`store.joined`), which is lent for one transaction, this one is always there: outside
of any transaction of the host an operation has one to itself, inside of one it has a savepoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NoReturn, Protocol, TypeVar

from pyqueue.core.errors import ConfigError
from pyqueue.core.store import effects, migrations
from pyqueue.core.store.executor import Cursor
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.store import Store
from pyqueue.core.store.transaction import Effects, Transaction

R = TypeVar("R")

# Writes nothing, but takes the write lock: a transaction that reads first and writes later is refused at once when
# another has written in between, whatever its busy timeout.
_TAKE_WRITE_LOCK: Final = "UPDATE pyqueue_meta SET value = value WHERE key = ''"
# Where all rows were deleted, on SQLite positions begin anew: what was counted and handed on must do so too.
_COUNT_ANEW: Final = """
    UPDATE pyqueue_meta SET value = 0
    WHERE key IN ('counted_to', 'webhooks_to')
          AND NOT EXISTS (SELECT 1 FROM pyqueue_event) AND NOT EXISTS (SELECT 1 FROM pyqueue_count)
"""
_OUR_TABLE: Final = "pyqueue_"
_IS_MISSING: Final = ("no such table", "does not exist")


class Host(Protocol):
    """The framework."""

    no_tables: str  # what to tell whoever has not made the tables

    @property
    def path(self) -> str:
        """Where the database is. It may change, as when tests put another one in its place."""

    @property
    def is_in_transaction(self) -> bool:
        """Whether one is open."""

    @property
    def begins_as_writer(self) -> bool:
        """Whether its transactions on SQLite take the write lock when they begin."""

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor: ...

    def atomic(self) -> AbstractContextManager[Any]:
        """A transaction, or inside of one a savepoint."""

    def after_commit(self, function: Callable[[], None], /) -> None:
        """Runs the function after the commit of all that is open, and never if that is rolled back."""


class Hosted:
    """Runs operations and queries on a host's connection to SQLite. `store.postgres.hosted` has the other kind."""

    def __init__(self, host: Host, store: Store) -> None:
        """`store`: the same database by connections of ours, of which none is opened here."""
        self._host, self._store = host, store
        self._salts: dict[str, int] = {}

    @property
    def salt(self) -> int:
        """The salt of the ids.

        Raises:
            ConfigError: the tables are not there.
        """
        path = self._host.path
        if path not in self._salts:
            self._salts[path] = self._guarded(lambda: migrations.salt_of(self._host))
        return self._salts[path]

    def write(self, operation: Operation[R], announce: Callable[[Effects], None]) -> R:
        """Runs the operation; `announce` follows the commit of the host's outermost transaction."""
        salt = self.salt

        def run() -> R:
            transaction = self._begun(salt)
            result = operation.run(transaction)
            effects.write(transaction, logs_events=self._store.logs_events)
            self._before_commit(transaction)
            self._host.after_commit(lambda: announce(transaction.effects))
            return result

        return self._guarded(run, in_savepoint=not getattr(operation, "never_clashes", False))

    def read(self, query: Callable[[Transaction], R]) -> R:
        """Runs a query: inside a transaction of the host it sees what that has written."""
        salt = self.salt
        try:
            return query(self._transaction(salt))
        except Exception as error:
            self._raise(error)

    def count_anew(self) -> None:
        """To be called after all tables of the host were emptied. They need not be there."""
        self._guarded(lambda: migrations.version_of(self._host) and self._host.execute_sql(_COUNT_ANEW))

    def require_known(self) -> None:
        """Raises SchemaTooNew: the tables are of a later version than this one."""
        self._guarded(lambda: migrations.version_of(self._host))

    def migrate(self, version: int) -> None:
        """Takes the tables to this version, if they are not there yet, inside the host's transaction."""
        migrations.apply(self._host, on_postgres=self._is_postgres, up_to=version)

    _is_postgres = False

    def _begun(self, salt: int) -> Transaction:
        if not self._host.begins_as_writer:
            self._host.execute_sql(_TAKE_WRITE_LOCK)
        return self._transaction(salt)

    def _transaction(self, salt: int) -> Transaction:
        return Transaction(self._host, now_us=self._store.clock.now_us(), salt=salt)

    def _before_commit(self, transaction: Transaction) -> None:
        """Nothing: who waits is woken after it."""

    def _guarded(self, run: Callable[[], R], *, in_savepoint: bool = True) -> R:
        try:
            with self._around(in_savepoint):
                return run()
        except Exception as error:
            self._raise(error)

    def _around(self, in_savepoint: bool) -> AbstractContextManager[Any]:
        """A transaction, or inside of one a savepoint, if it is needed."""
        return self._host.atomic() if in_savepoint or not self._host.is_in_transaction else nullcontext()

    def _raise(self, error: Exception) -> NoReturn:
        """Raises the error, or the one of ours that tells what it means."""
        translated = self._translated(error)
        if translated is error:
            raise error
        raise translated from error

    def _translated(self, error: Exception) -> Exception:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        translated = self._store.translated(cause)
        if translated is cause:
            return error  # Not of the database, but of ours or of the caller's.
        fact = str(error)
        if _OUR_TABLE in fact and any(words in fact for words in _IS_MISSING):
            return ConfigError(self._host.no_tables)
        return translated
