"""The caller's connections to a SQLite file, as something that runs our statements inside his transaction."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pyqueue.core.errors import ConfigError, StorageError
from pyqueue.core.states import ACTIVE
from pyqueue.core.store import insert
from pyqueue.core.store.executor import Cursor, Executor
from pyqueue.core.store.store import Store
from pyqueue.core.store.transaction import Effects
from pyqueue.core.transitions import Event
from pyqueue.core.validate import shown

if TYPE_CHECKING:
    import sqlite3

    import peewee

AfterCommit = Callable[[Callable[[], None]], object]

# In `Session.info`: what waits for the end of the session's transaction.
_WAITING = "pyqueue_waiting"


def executor_of(connection: Any) -> tuple[_Door, AfterCommit | None]:
    """What runs SQL on the connection, and if it can be known, what runs a function after its commit.

    Raises:
        ConfigError: not a kind of connection that is known here.
    """
    if is_of("peewee", "Database", connection):
        return _Peewee(connection), _after_peewee_commit(connection)
    if is_of("sqlite3", "Connection", connection):
        return _DbApi(connection), None  # It tells nobody of a commit: those who wait notice by polling.
    if hasattr(connection, "exec_driver_sql"):
        return _SqlAlchemy(connection), None  # Its commit event comes before the commit.
    if hasattr(connection, "connection") and hasattr(connection, "get_bind"):
        return _SqlAlchemy(connection.connection()), after_session_commit(connection)
    raise ConfigError(
        f"on() got {shown(connection)}; expected a peewee Database, a sqlite3.Connection, "
        "or an SQLAlchemy Connection or Session."
    )


def session_of(connection: Any) -> Any:
    """The session of this thread or context where a registry of them was given (SQLAlchemy's `scoped_session`).

    To the registry an event would be listened for in all of its sessions.
    """
    return connection.registry() if hasattr(connection, "session_factory") else connection


def is_of(module: str, kind: str, thing: Any) -> bool:
    """Whether it is of this class. A module that is not imported yet is left so: nobody has a thing of it."""
    imported = sys.modules.get(module)
    return imported is not None and isinstance(thing, getattr(imported, kind))


def is_async(connection: Any) -> bool:
    """Whether it is an async form of SQLAlchemy's around a plain session or connection, which `run_sync` gives."""
    return hasattr(connection, "run_sync")


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
        _begin(self._connection, self.execute_sql)


class _SqlAlchemy:
    """An SQLAlchemy `Connection` over pysqlite or aiosqlite."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor:
        result: Cursor = self._connection.exec_driver_sql(sql, tuple(params or ()))
        return result

    def begin(self) -> None:
        # aiosqlite's has the attributes of the one that it keeps on its thread.
        _begin(self._connection.connection.driver_connection, self.execute_sql)


def _begin(connection: Any, execute: Callable[[str], object]) -> None:
    """What `sqlite3` does before an INSERT: begins, unless its owner has said that he will."""
    begins_by_itself = getattr(connection, "autocommit", -1) == -1 and connection.isolation_level is not None
    if begins_by_itself and not connection.in_transaction:
        execute(f"BEGIN {connection.isolation_level}")


def _after_peewee_commit(database: peewee.Database) -> AfterCommit:
    def register(function: Callable[[], None]) -> None:
        if database.connection().in_transaction and not database.in_transaction():
            return  # Begun behind its back: it would take the change for committed.
        try:
            database.after_commit(function)
        except ValueError:
            return  # Inside `manual_commit()` it tells nobody.

    return register


def after_session_commit(session: Any) -> AfterCommit:
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


def cause_of(error: Exception) -> Exception:
    """The driver's error behind peewee's or SQLAlchemy's, so that it can be told what it means."""
    cause = error.__context__ if is_of("peewee", "PeeweeException", error) else getattr(error, "orig", None)
    return cause if isinstance(cause, Exception) else error


def was_kept(store: Store, effects: Effects) -> bool:
    """Whether what an operation did is there: its savepoint may lie in one that was rolled back."""
    event, _, keys, *_ = effects.changes[0]
    try:
        state = store.read(lambda tx: insert.states(tx, keys[:1])).get(keys[0])
    except StorageError:
        return False  # The caller's commit is done; that nobody can be told of it is not his to handle.
    return state is not None if event is Event.PUSH else state != ACTIVE
