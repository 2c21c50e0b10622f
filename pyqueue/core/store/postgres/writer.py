"""A writer: a connection in the hands of one caller at a time, and what becomes of a commit that is cut off."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

import psycopg

from pyqueue.core.clock import Clock
from pyqueue.core.errors import StorageError
from pyqueue.core.store import effects
from pyqueue.core.store.postgres.connection import PostgresConnection
from pyqueue.core.store.postgres.errors import Uncommitted, is_lost_connection
from pyqueue.core.store.postgres.transaction import PostgresTransaction
from pyqueue.core.store.transaction import Transaction

log = logging.getLogger(__name__)

# How long the outcome of a commit is looked for, while the server may be restarting.
_LOOK_SECONDS: Final = 30.0
_LOOK_AGAIN_SECONDS: Final = 0.2

# The row that the transaction has logged is there, or the transaction is still under way, or neither.
_OUTCOME: Final = """
    SELECT EXISTS (SELECT 1 FROM pyqueue_event WHERE position = ? AND happened_at = ? AND first_id = ?),
           EXISTS (SELECT 1 FROM pg_locks
                   WHERE locktype = 'transactionid' AND transactionid::text::bigint = (? & 4294967295))
"""


class Opener(Protocol):
    """Gives connections, and what is known of the database."""

    logs_events: bool
    is_async: bool

    @property
    def salt(self) -> int: ...

    @property
    def clock(self) -> Clock: ...

    def keys_from_us(self, now_us: int, /) -> int: ...

    def connect(self) -> PostgresConnection: ...


class PostgresWriter:
    """Opens its connection when it is first needed, and another when that one is lost."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._connection: PostgresConnection | None = None

    def connection(self) -> PostgresConnection:
        """Its connection, outside any transaction."""
        if self._connection is None or not self._connection.is_usable:
            self.drop()
            self._connection = self._opener.connect()
        return self._connection

    def begin(self, *, durable: bool, waits: bool = True) -> Transaction:
        """Opens a write transaction. Only `durable` ones need survive a power failure."""
        salt = self._opener.salt
        connection = self.connection()
        connection.begin(waits_for_disk=durable and not self._opener.is_async)
        now_us = self._opener.clock.now_us()
        return PostgresTransaction(connection, now_us=now_us, salt=salt, keys_from_us=self._opener.keys_from_us(now_us))

    def commit(self, transaction: Transaction) -> None:
        """Writes what the transaction noted, and commits it."""
        effects.write(transaction, logs_events=self._opener.logs_events)
        assert self._connection is not None
        try:
            self._connection.commit()
        except psycopg.Error as error:
            if not is_lost_connection(error):
                raise
            if not _was_kept(self._opener.connect, transaction, error):
                raise Uncommitted(str(error)) from error

    def rollback(self) -> None:
        """Undoes the open transaction, if there is one."""
        if self._connection is not None and not self._connection.rollback():
            self.drop()

    def has_committed(self) -> bool | None:
        """For a thread that was interrupted in a transaction: whether it was committed; None if that is not known."""
        return None if self._connection is None else self._connection.has_committed()

    def changes_so_far(self) -> int:
        """A number that grows with every statement that writes."""
        return 0 if self._connection is None else self._connection.writes

    def drop(self) -> None:
        """Forgets its connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _was_kept(connect: Callable[[], PostgresConnection], transaction: Transaction, error: Exception) -> bool:
    """Looks whether a transaction was committed whose commit was not answered.

    A transaction without a trace in the log has changed no job: it may be run again whatever became of it.

    Raises:
        StorageError: the server could not be asked, or the transaction goes on, for too long.
    """
    if transaction.trace is None:
        return False
    position, number = transaction.trace
    change = transaction.effects.changes[-1]
    deadline = time.monotonic() + _LOOK_SECONDS
    while time.monotonic() < deadline:
        try:
            connection = connect()
            try:
                row = connection.execute_sql(
                    _OUTCOME, (position, transaction.now_us, change.keys[0], number)
                ).fetchone()
            finally:
                connection.close()
        except psycopg.Error as again:
            if not is_lost_connection(again):
                raise
        else:
            if row is not None and row[0]:
                log.info("a commit whose answer was lost was kept", extra={"position": position})
                return True
            if row is not None and not row[1]:
                return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    raise StorageError(
        f"the connection was lost at the commit ({error}), and for {_LOOK_SECONDS:.0f} s its outcome could not be "
        "learnt; it may have been kept or not. Look for the job before you repeat the call."
    ) from error
