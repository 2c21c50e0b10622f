"""Preparing what a connection to PostgreSQL repeats: parsing and planning a push takes longer than running it.

Django lets psycopg prepare nothing, since a pooler may hand each transaction to another server process. Where there is
none it is worth a fifth of a push.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db import DatabaseError

# A request that pushes once or twice on a connection of its own is better off without.
_REPEATS: Final = 4
_TYPES: Final = ((int, "bigint"), (float, "float8"), (str, "text"), (type(None), "unknown"))

_of_connections: WeakKeyDictionary[Any, Prepared] = WeakKeyDictionary()


class Prepared:
    """What is prepared on one connection of psycopg's."""

    def __init__(self, connection: Any) -> None:
        self._told_pid = connection.info.backend_pid
        self._is_direct: bool | None = None
        self._uses: Counter[tuple[str, tuple[type, ...]]] = Counter()
        self._names: dict[tuple[str, tuple[type, ...]], str | None] = {}

    def call_of(
        self,
        sql: str,
        params: Sequence[Any],
        run: Callable[[str], Any],
        savepoint: Callable[[], AbstractContextManager[Any]],
    ) -> str | None:
        """The statement that runs `sql`, with `$1, $2, …`, as it was prepared; None if it is not, or not yet.

        `run` runs a statement on this connection, and `savepoint` guards what else is done in its transaction.
        """
        key = (sql, tuple(map(type, params)))
        if key not in self._names:
            self._uses[key] += 1
            if self._uses[key] < _REPEATS or not self._goes_to_the_server(run):
                return None
            self._names[key] = self._prepare(sql, key[1], run, savepoint)
        name = self._names[key]
        return None if name is None else f"EXECUTE {name}({', '.join(['%s'] * len(params))})"

    def _goes_to_the_server(self, run: Callable[[str], Any]) -> bool:
        """A pooler cannot say which process of the server will be at the other end: it makes a number up."""
        if self._is_direct is None:
            self._is_direct = run("SELECT pg_backend_pid()").fetchone()[0] == self._told_pid
        return self._is_direct

    def _prepare(
        self,
        sql: str,
        types: tuple[type, ...],
        run: Callable[[str], Any],
        savepoint: Callable[[], AbstractContextManager[Any]],
    ) -> str | None:
        """Its name; None if the server does not take it with parameters of these types."""
        known = [named for given in types for kind, named in _TYPES if issubclass(given, kind)]
        if len(known) < len(types) or bool in types:  # That is a kind of int, but not to the server.
            return None
        name = f"pyqueue_{len(self._names)}"
        try:
            with savepoint():
                run(f"PREPARE {name} ({', '.join(known)}) AS {sql}")
        except DatabaseError:
            return None
        return name


def of(connection: Any) -> Prepared:
    """Of a connection of psycopg's; it is forgotten with that."""
    prepared = _of_connections.get(connection)
    if prepared is None:
        prepared = _of_connections[connection] = Prepared(connection)
    return prepared
