"""Operations inside a transaction that belongs to the caller.

The caller's connection is wrapped into an `Executor`. An operation runs under a savepoint,
so that one that fails leaves the caller's transaction as it was; whether all of it is
kept is the caller's commit or rollback to decide.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import peewee

from pyqueue.core.errors import ConfigError, StorageError
from pyqueue.core.states import ACTIVE
from pyqueue.core.store import insert, migrations
from pyqueue.core.store.effects import write as write_effects
from pyqueue.core.store.executor import Cursor, Executor
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.sqlite import SqliteStore
from pyqueue.core.store.transaction import Effects, Transaction
from pyqueue.core.transitions import Event
from pyqueue.core.validate import shown

R = TypeVar("R")
AfterCommit = Callable[[Callable[[], None]], object]

# Writes nothing, but takes the write lock. A transaction that reads first and writes later is
# refused at once when another process has written in between, whatever its busy timeout.
_TAKE_WRITE_LOCK = "UPDATE pyqueue_meta SET value = value WHERE key = ''"
_HAS_NO_TABLES = "no such table: pyqueue_meta"
# In `Session.info`: what waits for the end of the session's transaction.
_WAITING = "pyqueue_waiting"


class JoinedTransaction:
    """The caller's transaction, as a place to run operations in."""

    def __init__(self, store: SqliteStore, connection: Any) -> None:
        self._store = store
        self._db, self._after_commit = executor_of(connection)
        self._require_same_file()

    def run(self, operation: Operation[R], announce: Callable[[Effects], None]) -> R:
        """Runs the operation; `announce` follows the caller's commit, where the connection can tell of it."""
        try:
            self._open()
            try:
                migrations.apply(self._db)
                transaction = Transaction(self._db, now_us=self._store.clock.now_us(), salt=self.salt())
                result = operation.run(transaction)
                write_effects(transaction, logs_events=self._store.logs_events)
            except BaseException:
                self._db.execute_sql("ROLLBACK TO pyqueue_operation")
                self._db.execute_sql("RELEASE pyqueue_operation")
                raise
            self._db.execute_sql("RELEASE pyqueue_operation")
        except Exception as error:
            raise self._store.translated(_cause(error)) from error
        effects = transaction.effects
        if self._after_commit is not None and effects.changes:
            self._after_commit(lambda: announce(effects) if self._was_kept(effects) else None)
        return result

    def salt(self) -> int:
        """The salt of the ids, as this transaction sees it."""
        return migrations.salt_of(self._db)

    def _open(self) -> None:
        """Opens the savepoint, inside a transaction that holds the write lock."""
        has_tables = self._take_write_lock()
        if not has_tables:
            self._db.begin()  # Drivers begin before a first write, but not before a savepoint.
        self._db.execute_sql("SAVEPOINT pyqueue_operation")
        if has_tables:  # Once more: without a transaction of the caller's, the savepoint has begun one.
            self._db.execute_sql(_TAKE_WRITE_LOCK)

    def _take_write_lock(self) -> bool:
        """False if the file is new, so that there is nothing to write to yet."""
        try:
            self._db.execute_sql(_TAKE_WRITE_LOCK)
        except Exception as error:
            if _HAS_NO_TABLES not in str(error):
                raise
            return False
        return True

    def _was_kept(self, effects: Effects) -> bool:
        """Whether what the operation did is there: its savepoint may lie in one that was rolled back."""
        event, _, keys, *_ = effects.changes[0]
        try:
            state = self._store.read(lambda tx: insert.parent_states(tx, keys[:1])).get(keys[0])
        except StorageError:
            return False  # The caller's commit is done; that nobody can be told of it is not his to handle.
        return state is not None if event is Event.PUSH else state != ACTIVE

    def _require_same_file(self) -> None:
        files = {name: path for _, name, path in self._db.execute_sql("PRAGMA database_list").fetchall()}
        theirs = files.get("main") or ""
        ours = self._store.path
        if not theirs or os.path.realpath(theirs) != os.path.realpath(ours):
            raise ConfigError(
                f"the connection is to {shown(theirs or 'a database in memory')}, the queue to {shown(ours)}; "
                "expected the same file, since a transaction cannot span two."
            )


def executor_of(connection: Any) -> tuple[_Door, AfterCommit | None]:
    """What runs SQL on the connection, and if it can be known, what runs a function after its commit.

    Raises:
        ConfigError: not a kind of connection that is known here.
    """
    if isinstance(connection, peewee.Database):
        return _Peewee(connection), _after_peewee_commit(connection)
    if isinstance(connection, sqlite3.Connection):
        return _DbApi(connection), None  # It tells nobody of a commit: those who wait notice by polling.
    if hasattr(connection, "exec_driver_sql"):
        return _SqlAlchemy(connection), None  # Its commit event comes before the commit.
    if hasattr(connection, "connection") and hasattr(connection, "get_bind"):
        return _SqlAlchemy(connection.connection()), _after_session_commit(connection)
    raise ConfigError(
        f"on() got {shown(connection)}; expected a peewee Database, a sqlite3.Connection, "
        "or an SQLAlchemy Connection or Session."
    )


class _Door(Executor, Protocol):
    """A connection of the caller's."""

    def begin(self) -> None:
        """Begins a transaction where the driver would do so before a first write."""


class _Peewee:
    """A peewee `Database`, whose transactions are begun explicitly."""

    def __init__(self, database: peewee.Database) -> None:
        self.execute_sql: Callable[..., Cursor] = database.execute_sql

    def begin(self) -> None:
        return


class _DbApi:
    """A `sqlite3.Connection` in any of its transaction modes, whatever rows it makes for its owner."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(sql, params or ())

    def begin(self) -> None:
        _begin(self._connection)


class _SqlAlchemy:
    """An SQLAlchemy `Connection` over pysqlite."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor:
        result: Cursor = self._connection.exec_driver_sql(sql, tuple(params or ()))
        return result

    def begin(self) -> None:
        driver = self._connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            _begin(driver)


def _begin(connection: sqlite3.Connection) -> None:
    """What `sqlite3` does before an INSERT: begins, unless its owner has said that he will."""
    begins_by_itself = getattr(connection, "autocommit", -1) == -1 and connection.isolation_level is not None
    if begins_by_itself and not connection.in_transaction:
        connection.execute(f"BEGIN {connection.isolation_level}")


def _after_peewee_commit(database: peewee.Database) -> AfterCommit:
    def register(function: Callable[[], None]) -> None:
        if database.connection().in_transaction and not database.in_transaction():
            return  # Begun behind its back: it would take the change for committed.
        try:
            database.after_commit(function)
        except ValueError:
            return  # Inside `manual_commit()` it tells nobody.

    return register


def _after_session_commit(session: Any) -> AfterCommit:
    """Runs functions at the end of the session's outermost transaction, which may also be a rollback.

    Not at after_commit: that is sent for savepoints too, and after a rollback waits for another commit.
    """
    waiting: list[Callable[[], None]] | None = session.info.get(_WAITING)
    if waiting is None:
        from sqlalchemy import event  # only reached with an SQLAlchemy session in hand

        waiting = session.info[_WAITING] = []
        event.listen(session, "after_transaction_end", _run_waiting)
    return waiting.append


def _run_waiting(session: Any, transaction: Any) -> None:
    if transaction.parent is None:
        waiting = session.info[_WAITING]
        functions, waiting[:] = waiting[:], []
        for function in functions:
            function()


def _cause(error: Exception) -> Exception:
    """The driver's error behind SQLAlchemy's wrapper, so that it can be told what it means."""
    cause = getattr(error, "orig", None)
    return cause if isinstance(cause, Exception) else error
