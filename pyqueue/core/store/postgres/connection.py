"""One connection to PostgreSQL: opened by psycopg, with its settings, its transactions and its statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import RawCursor, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextLoader

from pyqueue.core.store.dialect import for_postgres, quoted_name
from pyqueue.core.store.postgres.statements import Answer, Statements

# A statement of ours takes milliseconds. What takes much longer waits for somebody's forgotten transaction,
# and a transaction of ours that idles belongs to a process that is suspended or cut off.
# Each of our statements has its index. A plan made while the table was small or unknown reads all of it instead, and
# is kept while the table grows; in the order of the index it also locks in the order of keys. To compile pays never.
_SETTINGS: Final = {
    "statement_timeout": "60s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
}
# A connection to a machine that is gone is noticed within half a minute, not after the two hours of TCP.
_DEFAULTS: Final = {
    "application_name": "pyqueue",
    "client_encoding": "UTF8",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_OPEN: Final = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)


class Location(NamedTuple):
    """Where a queue is kept: how libpq finds the server, the schema (None: that of the search path), and more."""

    conninfo: str
    schema: str | None = None
    pool_size: int = 8
    is_pooled: bool = False  # behind a pooler that lends a connection for a transaction

    @property
    def shown(self) -> str:
        """The address without its password, for messages."""
        parts = {key: value for key, value in conninfo_to_dict(self.conninfo).items() if key != "password"}
        address = make_conninfo("", **parts)
        return address if self.schema is None else f"{address} schema={self.schema}"


class PostgresConnection:
    """A psycopg connection in autocommit, so that transactions begin and end where they are written down."""

    def __init__(self, location: Location, *, prepares: bool = True) -> None:
        self._schema = location.schema
        self._connection = psycopg.connect(_conninfo_of(location), autocommit=True, cursor_factory=RawCursor)
        self._connection.prepare_threshold = None
        for name in ("json", "jsonb"):  # JSON stays text: the engine decodes it, and only where it is asked for.
            self._connection.adapters.register_loader(name, TextLoader)
        self._statements = Statements(self._connection, prepares=prepares and not location.is_pooled)
        self.is_pooled: Final = location.is_pooled
        self.backend_pid: Final = self._pid()
        self.writes = 0
        self._is_wanted = False  # a transaction that is not begun yet
        self._waits_for_disk = True
        self._is_in_doubt = False  # was interrupted where nothing tells whether it was sent

    def _pid(self) -> int:
        """The number of the server's process. A pooler says another one, so the server itself is asked."""
        row = self._connection.execute("SELECT pg_backend_pid()").fetchone()
        return 0 if row is None else int(row[0])

    @property
    def raw(self) -> psycopg.Connection[Any]:
        """The psycopg connection."""
        return self._connection

    @property
    def is_usable(self) -> bool:
        """Open, outside any transaction, and not ended by the server meanwhile."""
        is_idle = not self._connection.closed and self._connection.info.transaction_status == pq.TransactionStatus.IDLE
        return is_idle and not self._statements.was_ended()

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Answer:
        """Runs a statement with `?` placeholders."""
        if not sql.lstrip().startswith("SELECT"):
            self.writes += 1
        is_wanted, self._is_wanted = self._is_wanted, False
        return self._statements.run(for_postgres(sql, self._schema), params, begins=is_wanted)

    def execute_and_commit(self, sql: str, params: Sequence[Any] | None = None, /) -> Answer:
        """Runs the last statement of a transaction, and commits that, in one round trip.

        Where the commit need not wait for the disk, the statement has to say so.
        """
        self.writes += 1
        self._is_in_doubt = is_alone = self._is_wanted  # Then it is a transaction by itself.
        self._is_wanted = False
        answer = self._statements.run(for_postgres(sql, self._schema), params, commits=not is_alone)
        self._is_in_doubt = False
        return answer

    def begin(self, *, waits_for_disk: bool) -> None:
        """Begins a transaction, with its first statement; `commit` waits for the disk, or does not."""
        self._is_wanted, self._waits_for_disk, self._is_in_doubt = True, waits_for_disk, False

    def commit(self) -> None:
        """Commits the transaction, if it was begun and is not committed."""
        self._is_wanted = False
        if self._connection.info.transaction_status != pq.TransactionStatus.IDLE:
            quick = b"" if self._waits_for_disk else b"SET LOCAL synchronous_commit = off; "
            self._statements.run_plain(quick + b"COMMIT")

    def has_committed(self) -> bool | None:
        """Whether the transaction begun last was committed; None while the server has not answered to that."""
        if self._is_wanted:
            return False
        if self._is_in_doubt:
            return None
        status = self._connection.info.transaction_status
        return None if status not in (*_OPEN, pq.TransactionStatus.IDLE) else status not in _OPEN

    def notify(self, channel: str) -> None:
        """Wakes those who listen there, in one round trip and without waiting for the disk."""
        name = quoted_name(channel)
        self._statements.run_plain(f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {name}; COMMIT".encode())

    def rollback(self) -> bool:
        """Undoes what is open; False if the connection is not fit for use any more."""
        self._is_wanted = False
        if self._connection.info.transaction_status in _OPEN:
            try:
                self._statements.run_plain(b"ROLLBACK")
            except psycopg.Error:
                return False
        return self.is_usable

    def cancel(self) -> None:
        """Ends the statement that another thread runs on it."""
        self._connection.cancel()

    def close(self) -> None:
        """Closes it, whatever state it is in."""
        try:
            self._connection.close()
        except psycopg.Error:
            return  # A connection that cannot even be closed: it is not used again.


def _conninfo_of(location: Location) -> str:
    given = conninfo_to_dict(location.conninfo)
    extra: dict[str, Any] = {key: value for key, value in _DEFAULTS.items() if key not in given}
    if not location.is_pooled:  # A pooler refuses settings of a session, which may serve another client next.
        ours = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
        extra["options"] = f"{ours} {given.get('options', '')}".strip()
    return make_conninfo(location.conninfo, **extra)
