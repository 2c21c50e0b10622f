"""Operations inside a transaction that belongs to the caller.

The caller's connection is wrapped into an `Executor`. An operation runs under a savepoint,
so that one that fails leaves the caller's transaction as it was; whether all of it is
kept is the caller's commit or rollback to decide.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import peewee

from pyqueue.core.clock import Clock
from pyqueue.core.errors import ConfigError
from pyqueue.core.store import migrations
from pyqueue.core.store.executor import Cursor, Executor
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.sqlite import SqliteStore
from pyqueue.core.store.transaction import Effects, Transaction
from pyqueue.core.validate import shown

R = TypeVar("R")
AfterCommit = Callable[[Callable[[], None]], object]

# Writes nothing, but takes the write lock. A transaction that reads first and writes later is
# refused at once when another process has written in between, whatever its busy timeout.
_TAKE_WRITE_LOCK = "UPDATE pyqueue_meta SET value = value WHERE key = ''"


class JoinedTransaction:
    """The caller's transaction, as a place to run operations in."""

    def __init__(self, store: SqliteStore, connection: Any) -> None:
        self._store = store
        self._db, self._after_commit = executor_of(connection)
        self._require_same_file()

    def run(self, operation: Operation[R], announce: Callable[[Effects], None]) -> R:
        """Runs the operation; `announce` follows the caller's commit, where the connection can tell of it."""
        try:
            transaction = self._begin(self._store.clock)
            try:
                result = operation.run(transaction)
                transaction.flush()
            except BaseException:
                self._db.execute_sql("ROLLBACK TO pyqueue_operation")
                self._db.execute_sql("RELEASE pyqueue_operation")
                raise
            self._db.execute_sql("RELEASE pyqueue_operation")
        except Exception as error:
            raise self._store.translated(_cause(error)) from error
        effects = transaction.effects
        if self._after_commit is not None:
            self._after_commit(lambda: announce(effects))
        return result

    def salt(self) -> int:
        """The salt of the ids, as this transaction sees it."""
        return migrations.salt_of(self._db)

    def _begin(self, clock: Clock) -> Transaction:
        if migrations.version_of(self._db) < len(migrations.STEPS):
            self._db.execute_sql("SAVEPOINT pyqueue_operation")
            migrations.apply(self._db)
        else:
            self._db.execute_sql(_TAKE_WRITE_LOCK)
            self._db.execute_sql("SAVEPOINT pyqueue_operation")
        return Transaction(self._db, now_us=clock.now_us(), salt=migrations.salt_of(self._db))

    def _require_same_file(self) -> None:
        files = {name: path for _, name, path in self._db.execute_sql("PRAGMA database_list").fetchall()}
        theirs = files.get("main") or ""
        ours = self._store.path
        if not theirs or os.path.realpath(theirs) != os.path.realpath(ours):
            raise ConfigError(
                f"the connection is to {shown(theirs or 'a database in memory')}, the queue to {shown(ours)}; "
                "expected the same file, since a transaction cannot span two."
            )


def executor_of(connection: Any) -> tuple[Executor, AfterCommit | None]:
    """What runs SQL on the connection, and if it can be known, what runs a function after its commit.

    Raises:
        ConfigError: not a kind of connection that is known here.
    """
    if isinstance(connection, peewee.Database):
        return connection, connection.after_commit
    if isinstance(connection, sqlite3.Connection):
        return _DbApi(connection), None  # It tells nobody of a commit: those who wait notice by polling.
    if hasattr(connection, "exec_driver_sql"):
        return _SqlAlchemy(connection), None  # Its commit event comes before the commit.
    if hasattr(connection, "connection") and hasattr(connection, "get_bind"):
        inner = connection.connection()
        return _SqlAlchemy(inner), _after_session_commit(connection)
    raise ConfigError(
        f"on() got {shown(connection)}; expected a peewee Database, a sqlite3.Connection, "
        "or an SQLAlchemy Connection or Session."
    )


class _DbApi:
    """A `sqlite3.Connection` in any of its transaction modes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor:
        return self._connection.execute(sql, params or ())


class _SqlAlchemy:
    """An SQLAlchemy `Connection` over pysqlite."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor:
        result: Cursor = self._connection.exec_driver_sql(sql, tuple(params or ()))
        return result


def _after_session_commit(session: Any) -> AfterCommit:
    def register(function: Callable[[], None]) -> None:
        from sqlalchemy import event  # only reached with an SQLAlchemy session in hand

        event.listen(session, "after_commit", lambda _session: function(), once=True)

    return register


def _cause(error: Exception) -> Exception:
    """The driver's error behind SQLAlchemy's wrapper, so that it can be told what it means."""
    cause = getattr(error, "orig", None)
    return cause if isinstance(cause, Exception) else error
