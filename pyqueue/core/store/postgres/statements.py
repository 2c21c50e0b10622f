"""Running statements by libpq, through psycopg's wrapper of it, without psycopg's cursors.

A cursor takes about 40 µs to hand over a statement that the server answers in 30. What is left out here is what the
statements of this package do not use: they bind numbers, text and null, and none of them is a COPY.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.abc import Buffer, Transformer
from psycopg.adapt import Transformer as AnyTransformer

_PREPARE_AFTER: Final = 2
_PREPARED_MAX: Final = 400
_GOOD: Final = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY})
_BIGINT: Final = 20
_DOUBLE: Final = 701
_ANY: Final = 0  # The server decides by what the parameter is compared with or stored in.

_Text = tuple[bytes, tuple[int, ...]]


class Answer:
    """What a statement gave back: its rows, to be fetched before the next statement is run."""

    __slots__ = ("_left", "_result", "_rows_of")

    def __init__(self, result: pq.abc.PGresult, rows_of: Transformer) -> None:
        self._result = result
        self._rows_of = rows_of
        self._left: list[tuple[Any, ...]] | None = None

    @property
    def rowcount(self) -> int:
        """How many rows it has read or changed."""
        return self._result.command_tuples or 0

    @property
    def lastrowid(self) -> int | None:
        """PostgreSQL has none."""
        return None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows not fetched yet."""
        left, self._left = self._load(), []
        return left

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        self._left = self._load()
        return self._left.pop(0) if self._left else None

    def _load(self) -> list[tuple[Any, ...]]:
        if self._left is not None:
            return self._left
        self._rows_of.set_pgresult(self._result)
        return self._rows_of.load_rows(0, self._result.ntuples, tuple)


class Statements:
    """Runs statements with `$1, $2, …` on a connection; those that come again are prepared."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepares: bool) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._rows_of: Transformer = AnyTransformer(connection)
        self._prepares = prepares
        self._uses: dict[_Text, int] = {}
        self._names: dict[_Text, bytes] = {}
        self._named = 0

    def run(self, sql: str, params: Sequence[Any] | None, *, begins: bool = False, commits: bool = False) -> Answer:
        """One statement; in the transaction that is open, or that it `begins`, else in one of its own.

        A BEGIN before and a COMMIT after it are sent together with it, in one round trip.

        Raises:
            psycopg.Error: as psycopg would. TypeError: a parameter of another kind.
        """
        types, values = _bound(params or ())
        text = (sql.encode(), types)
        name = self._name_of(text) if self._prepares else None
        if begins or commits:
            result = self._run_between(name, text, values, begins=begins, commits=commits)
        elif name is None:
            result = self._pgconn.exec_params(text[0], values, types)
        else:
            result = self._pgconn.exec_prepared(name, values)  # type: ignore[arg-type]  # None is null here too
        return Answer(self._checked(result), self._rows_of)

    def _run_between(
        self, name: bytes | None, text: _Text, values: list[Buffer | None], *, begins: bool, commits: bool
    ) -> pq.abc.PGresult:
        """The result of the statement, or of the first of all that failed."""
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        try:
            if begins:
                pgconn.send_query_params(b"BEGIN", None)
            if name is None:
                pgconn.send_query_params(text[0], values, text[1])
            else:
                pgconn.send_query_prepared(name, values)
            if commits:
                pgconn.send_query_params(b"COMMIT", None)
            pgconn.pipeline_sync()
            results = self._results()
        finally:
            with suppress(psycopg.OperationalError):  # Lost, or interrupted: it is not used again.
                pgconn.exit_pipeline_mode()
        return next((result for result in results if result.status not in _GOOD), results[begins])

    def _results(self) -> list[pq.abc.PGresult]:
        """Those of the statements that were sent, up to the end of the pipeline."""
        pgconn = self._pgconn
        while pgconn.flush():  # The server takes its time with a large statement.
            self._wait(select.POLLIN | select.POLLOUT)
            pgconn.consume_input()
        results: list[pq.abc.PGresult] = []
        while True:
            while pgconn.is_busy():  # Not in `get_result`, which lets no other thread of Python go on meanwhile.
                self._wait(select.POLLIN)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results
            if result is not None:
                results.append(result)
            elif pgconn.status != pq.ConnStatus.OK:
                raise psycopg.OperationalError(pgconn.get_error_message(self._connection.info.encoding))

    def _wait(self, events: int, milliseconds: int | None = None) -> bool:
        poll = select.poll()
        poll.register(self._pgconn.socket, events)
        return bool(poll.poll(milliseconds))

    def was_ended(self) -> bool:
        """Whether the server has ended the connection while nothing was run on it."""
        try:
            while self._wait(select.POLLIN, 0):
                self._pgconn.consume_input()
        except psycopg.OperationalError:
            return True
        return False

    def run_plain(self, sql: bytes) -> None:
        """Statements without parameters and rows, several of them in one round trip."""
        self._checked(self._pgconn.exec_(sql))

    def _name_of(self, text: _Text) -> bytes | None:
        """The name under which the statement is prepared; None if it has not come often enough."""
        name = self._names.get(text)
        if name is not None:
            return name
        uses = self._uses[text] = self._uses.get(text, 0) + 1
        if uses <= _PREPARE_AFTER:
            return None
        if len(self._names) >= _PREPARED_MAX:
            self._forget_oldest()
        self._named += 1
        name = f"pyqueue_{self._named}".encode()
        self._checked(self._pgconn.prepare(name, *text))
        self._names[text] = name
        del self._uses[text]
        return name

    def _forget_oldest(self) -> None:
        text = next(iter(self._names))
        self.run_plain(b"DEALLOCATE " + self._names.pop(text))
        self._uses.clear()

    def _checked(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        if result.status in _GOOD:
            return result
        encoding = self._connection.info.encoding
        if result.error_field(pq.DiagnosticField.SQLSTATE) is None:  # Not from the server, which is gone.
            raise psycopg.OperationalError(result.get_error_message(encoding))
        raise psycopg.errors.error_from_result(result, encoding)


def _bound(params: Sequence[Any]) -> tuple[tuple[int, ...], list[Buffer | None]]:
    """The types of parameters, and their values as libpq takes them."""
    types: list[int] = []
    values: list[Buffer | None] = []
    for value in params:
        if value is None:
            types.append(_ANY)
            values.append(None)
        elif isinstance(value, int):
            types.append(_BIGINT)
            values.append(b"%d" % value)
        elif isinstance(value, str):
            types.append(_ANY)
            values.append(_text(value))
        elif isinstance(value, float):
            types.append(_DOUBLE)
            values.append(repr(value).encode())
        else:
            raise TypeError(f"a statement was given {type(value).__name__}; expected int, float, str or None.")
    return tuple(types), values


def _text(value: str) -> bytes:
    encoded = value.encode()
    if b"\0" in encoded:  # libpq would take what is before it.
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return encoded
