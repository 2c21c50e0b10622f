"""A writer: a connection in the hands of one caller at a time, and what becomes of a commit that is cut off."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

import psycopg

from pyqueue.core.clock import Clock
from pyqueue.core.errors import StorageError
from pyqueue.core.store import counts, effects
from pyqueue.core.store.postgres.ahead import Ahead
from pyqueue.core.store.postgres.connection import PostgresConnection
from pyqueue.core.store.postgres.errors import Uncommitted, is_lost_connection
from pyqueue.core.store.postgres.transaction import PostgresTransaction
from pyqueue.core.store.transaction import Transaction

log = logging.getLogger(__name__)

# How long the outcome of a commit is looked for, while the server may be restarting.
_LOOK_SECONDS: Final = 30.0
_LOOK_AGAIN_SECONDS: Final = 0.2
_LATER_SECONDS: Final = 1.0

# The transaction is still under way, or the row that it has logged is there, or neither: asked in this order. Where
# the row was sent with the COMMIT, its position is not known; the backend may even have both before it, until it ends.
_IS_UNDER_WAY: Final = """
    SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND transactionid::text::bigint = (? & 4294967295)
"""
_WAS_LOGGED: Final = "SELECT 1 FROM pyqueue_event WHERE position = ? AND happened_at = ? AND first_id = ?"
_IS_AT_WORK: Final = """
    SELECT 1 FROM pg_stat_activity WHERE pid = ? AND backend_start < clock_timestamp() - make_interval(secs => ?)
"""
_WAS_SENT: Final = "SELECT 1 FROM pyqueue_event WHERE happened_at = ? AND first_id = ? AND event = ?"


class Opener(Protocol):
    """Gives connections, and what is known of the database."""

    logs_events: bool
    is_async: bool

    @property
    def salt(self) -> int: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def ahead(self) -> Ahead: ...

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
        waits_for_disk = durable and not self._opener.is_async
        connection.begin(waits_for_disk=waits_for_disk)
        now_us = self._opener.clock.now_us()
        transaction = PostgresTransaction(connection, now_us=now_us, salt=salt, ahead=self._opener.ahead)
        if not connection.is_pooled:  # Of a pooler's connection the backend is not known, which is needed then.
            transaction.commit_with_log(connection.execute_and_commit, waits_for_disk=waits_for_disk)
        return transaction

    def commit(self, transaction: Transaction) -> None:
        """Writes what the transaction noted, and commits it."""
        connection = self._connection
        assert connection is not None
        is_fold_due = False
        try:
            is_fold_due = effects.write(transaction, logs_events=self._opener.logs_events)
            connection.commit()
        except psycopg.Error as error:
            if not is_lost_connection(error):
                raise
            if not _was_kept(self._opener.connect, transaction, connection.backend_pid, error):
                raise Uncommitted(str(error)) from error
        if is_fold_due:
            self._bring_up_counts(transaction)

    def _bring_up_counts(self, transaction: Transaction) -> None:
        """In a transaction of its own. If it cannot be done, the next to whom it falls does it."""
        connection = self.connection()
        try:
            connection.begin(waits_for_disk=False)
            counts.fold(transaction)
            connection.commit()
        except psycopg.Error as error:
            log.info("the counts were not brought up to the log", extra={"error": str(error)})
            self.rollback()

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


def _was_kept(connect: Callable[[], PostgresConnection], transaction: Transaction, pid: int, error: Exception) -> bool:
    """Looks whether a transaction was committed whose commit was not answered.

    A transaction without a trace in the log has changed no job: it may be run again whatever became of it.

    Raises:
        StorageError: the server could not be asked, or the transaction goes on, for too long.
    """
    if transaction.trace is None and not transaction.is_sent_off:
        return False
    lost_at = time.monotonic()
    while (since := time.monotonic() - lost_at) < _LOOK_SECONDS:
        try:
            connection = connect()
            try:
                is_under_way, is_there = _looked_for(connection, transaction, pid, since)
            finally:
                connection.close()
        except psycopg.Error as again:
            if not is_lost_connection(again):
                raise
        else:
            if is_there:
                log.info("a commit whose answer was lost was kept", extra={"happened_us": transaction.now_us})
                return True
            if not is_under_way:
                return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    raise StorageError(
        f"the connection was lost at the commit ({error}), and for {_LOOK_SECONDS:.0f} s its outcome could not be "
        "learnt; it may have been kept or not. Look for the job before you repeat the call."
    ) from error


def _looked_for(connection: PostgresConnection, transaction: Transaction, pid: int, since: float) -> tuple[bool, bool]:
    """Whether the transaction may still be under way, and whether what it has logged is there."""

    def finds(sql: str, *params: float | str) -> bool:
        return connection.execute_sql(sql, params).fetchone() is not None

    change = [change for change in transaction.effects.changes if change.keys][-1]
    if transaction.trace is not None:
        position, number = transaction.trace
        return finds(_IS_UNDER_WAY, number), finds(_WAS_LOGGED, position, transaction.now_us, change.keys[0])
    # A backend that began later is another one, whatever its number.
    is_at_work = finds(_IS_AT_WORK, pid, since - _LATER_SECONDS)
    return is_at_work, finds(_WAS_SENT, transaction.now_us, change.keys[0], change.event)
