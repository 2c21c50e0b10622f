"""One of Django's connections, as the host of a queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

from django.db import connections, transaction

from pyqueue.contrib.django import prepared
from pyqueue.core.config import MEMORY
from pyqueue.core.errors import ConfigError
from pyqueue.core.store.dialect import for_postgres

# Modes of transactions on SQLite that take the write lock when they begin.
WRITERS: Final = ("IMMEDIATE", "EXCLUSIVE")
VENDORS: Final = ("sqlite", "postgresql")
# What psycopg takes besides the parameters of libpq.
_NOT_OF_LIBPQ: Final = (
    "autocommit",
    "context",
    "cursor_factory",
    "prepare_threshold",
    "row_factory",
    "client_encoding",
)


class DjangoHost:
    """`connections[alias]` of whichever thread calls. Its statements are in Django's query log as any other."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.no_tables = (
            f"the tables of pyqueue are not in the database {alias!r}; add 'pyqueue.contrib.django' to INSTALLED_APPS, "
            f"and run: manage.py migrate --database {alias}"
        )

    @property
    def path(self) -> str:
        """The name of the database."""
        return str(connections[self.alias].settings_dict["NAME"])

    @property
    def is_postgres(self) -> bool:
        """Which of the two kinds it is.

        Raises:
            ConfigError: it is another one.
        """
        vendor = connections[self.alias].vendor
        if vendor not in VENDORS:
            raise ConfigError(
                f"the database {self.alias!r} is of the kind {vendor!r}; expected {' or '.join(VENDORS)}. Keep the "
                "queue in a file of its own: PYQUEUE = {'STORAGE': 'jobs.db'}, or name another alias: {'DATABASE': …}."
            )
        return bool(vendor == "postgresql")

    def url(self) -> str:
        """The same database for connections of the engine's own; `:memory:` if there can be none."""
        connection = connections[self.alias]
        if self.is_postgres:
            return _postgres_url(connection.get_connection_params())
        return MEMORY if connection.is_in_memory_db() else str(connection.settings_dict["NAME"])

    @property
    def is_in_transaction(self) -> bool:
        """Django's own."""
        return bool(connections[self.alias].in_atomic_block)

    @property
    def begins_as_writer(self) -> bool:
        """As the settings have it; see the check W001."""
        mode = connections[self.alias].settings_dict["OPTIONS"].get("transaction_mode")
        return str(mode).upper() in WRITERS

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Any:
        connection = connections[self.alias]
        cursor = connection.cursor()
        if connection.vendor == "postgresql":
            self._execute_on_postgres(connection, cursor, sql, params or ())
        elif params:
            cursor.execute(_for_django(sql), params)
        else:
            cursor.execute(sql)
        return cursor

    def _execute_on_postgres(self, connection: Any, cursor: Any, sql: str, params: Sequence[Any]) -> None:
        from psycopg.types.string import TextLoader  # only reached with a connection of it in hand

        cursor.cursor.adapters.register_loader("json", TextLoader)  # JSON is text until somebody asks for it.
        call = None
        if not connection.queries_logged:  # Who reads the log wants to see the statement.

            def run(statement: str) -> Any:
                cursor.execute(statement)
                return cursor

            call = prepared.of(connection.connection).call_of(for_postgres(sql, None), params, run, self.atomic)
        cursor.execute(call or for_postgres(sql, None, "%s"), params)

    def atomic(self) -> AbstractContextManager[Any]:
        """Django's own."""
        return cast(AbstractContextManager[Any], transaction.atomic(using=self.alias))

    def after_commit(self, function: Callable[[], None], /) -> None:
        """Django's own; what goes wrong in it is logged, since the commit is done."""
        transaction.on_commit(function, using=self.alias, robust=True)


@lru_cache(maxsize=1_024)
def _for_django(sql: str) -> str:
    """With Django's placeholders, which it turns back for SQLite."""
    return sql.replace("%", "%%").replace("?", "%s")


def _postgres_url(params: dict[str, Any]) -> str:
    given = {key: value for key, value in params.items() if key not in _NOT_OF_LIBPQ and value is not None}
    name = quote(str(given.pop("dbname", "")), safe="")
    return f"postgresql:///{name}?{urlencode(given, quote_via=quote)}"
