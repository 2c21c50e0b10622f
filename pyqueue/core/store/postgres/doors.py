"""The caller's connections to PostgreSQL, as something that runs our statements inside his transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import psycopg
from psycopg import RawCursor, pq

from pyqueue.core.errors import ConfigError
from pyqueue.core.store.dialect import for_postgres
from pyqueue.core.store.doors import AfterCommit, after_session_commit, is_of
from pyqueue.core.store.executor import Cursor
from pyqueue.core.validate import shown

if TYPE_CHECKING:
    import peewee

_MARK: Final = re.compile(r"\$(\d+)")


class Door(Protocol):
    """A connection of the caller's."""

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor: ...

    @property
    def is_alone(self) -> bool:
        """Whether a statement would commit by itself, so that there is no transaction to join."""


def door_of(connection: Any, schema: str | None) -> tuple[Door, AfterCommit | None]:
    """What runs SQL on the connection, and if it can be known, what runs a function after its commit.

    Raises:
        ConfigError: not a kind of connection that is known here.
    """
    if is_of("peewee", "PostgresqlDatabase", connection):
        return _Peewee(connection, schema), _after_peewee_commit(connection)
    if isinstance(connection, psycopg.Connection):
        return _Psycopg(connection, schema), None  # It tells nobody of its commit.
    if type(connection).__module__.startswith("psycopg2"):
        return _Psycopg2(connection, schema), None
    if hasattr(connection, "exec_driver_sql"):
        return _SqlAlchemy(connection, schema), None  # Its commit event comes before the commit.
    if hasattr(connection, "connection") and hasattr(connection, "get_bind"):
        return _SqlAlchemy(connection.connection(), schema), after_session_commit(connection)
    raise ConfigError(
        f"on() got {shown(connection)}; expected a psycopg connection, a peewee PostgresqlDatabase, or an "
        "SQLAlchemy Connection or Session, to the database of the queue."
    )


class _Psycopg:
    """A psycopg connection, whatever rows and cursors it makes for its owner."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str | None) -> None:
        self._connection = connection
        self._schema = schema

    @property
    def is_alone(self) -> bool:
        return _commits_by_itself(self._connection)

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Any:
        cursor = RawCursor(self._connection, row_factory=psycopg.rows.tuple_row)
        return cursor.execute(for_postgres(sql, self._schema), params)


class _Psycopg2:
    """A psycopg2 connection."""

    def __init__(self, connection: Any, schema: str | None) -> None:
        self._connection = connection
        self._schema = schema

    @property
    def is_alone(self) -> bool:
        return _commits_by_itself(self._connection)

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Any:
        from psycopg2.extensions import cursor as plain_cursor  # only reached with such a connection in hand

        cursor = self._connection.cursor(cursor_factory=plain_cursor)
        cursor.execute(for_postgres(sql, self._schema, "%s"), params)
        return cursor


class _Peewee:
    """A peewee `PostgresqlDatabase`, over either driver."""

    def __init__(self, database: peewee.PostgresqlDatabase, schema: str | None) -> None:
        self._database = database
        self._schema = schema

    @property
    def is_alone(self) -> bool:
        return _commits_by_itself(self._database.connection())

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Any:
        return self._database.execute_sql(for_postgres(sql, self._schema, "%s"), params)


class _SqlAlchemy:
    """An SQLAlchemy `Connection` over psycopg, psycopg2 or asyncpg."""

    def __init__(self, connection: Any, schema: str | None) -> None:
        self._connection = connection
        self._schema = schema
        self._is_numbered = connection.dialect.paramstyle == "numeric_dollar"  # asyncpg

    @property
    def is_alone(self) -> bool:
        connection = self._connection.connection
        if self._is_numbered:
            return bool(connection.dbapi_connection.autocommit and not connection.driver_connection.is_in_transaction())
        return _commits_by_itself(connection.driver_connection)

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Any:
        given = tuple(params or ())
        if self._is_numbered:
            text = _with_types(for_postgres(sql, self._schema), given)
        else:
            text = for_postgres(sql, self._schema, "%s")
        return self._connection.exec_driver_sql(text, given)


def _with_types(sql: str, params: Sequence[Any]) -> str:
    """The statement with whole numbers named as such: asyncpg asks the server for types, psycopg sends them along."""
    return _MARK.sub(lambda mark: mark[0] + "::bigint" * isinstance(params[int(mark[1]) - 1], int), sql)


def _commits_by_itself(driver: Any) -> bool:
    if isinstance(driver, psycopg.Connection):
        return driver.autocommit and driver.info.transaction_status == pq.TransactionStatus.IDLE
    is_idle = driver.info.transaction_status == 0  # of libpq, as psycopg2 gives it
    return bool(driver.autocommit and is_idle)


def _after_peewee_commit(database: peewee.PostgresqlDatabase) -> AfterCommit:
    def register(function: Callable[[], None]) -> None:
        if not database.in_transaction():
            return  # Begun behind its back: it would take the change for committed.
        try:
            database.after_commit(function)
        except ValueError:
            return  # Inside `manual_commit()` it tells nobody.

    return register
