"""A PostgreSQL database: opening it, its connections, and which failures are simply tried again."""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import psycopg

from pyqueue.core.clock import Clock, SystemClock
from pyqueue.core.errors import QueueClosed, StorageError
from pyqueue.core.store import migrations, script
from pyqueue.core.store.dialect import quoted_name
from pyqueue.core.store.postgres import errors
from pyqueue.core.store.postgres.ahead import Ahead
from pyqueue.core.store.postgres.bell import PostgresBell
from pyqueue.core.store.postgres.connection import Location, PostgresConnection
from pyqueue.core.store.postgres.joined import JoinedPostgres
from pyqueue.core.store.postgres.transaction import PostgresTransaction
from pyqueue.core.store.postgres.vacuum import Vacuum
from pyqueue.core.store.postgres.writer import PostgresWriter
from pyqueue.core.store.store import Durability, Writer
from pyqueue.core.store.transaction import Transaction

R = TypeVar("R")

VERSION_MIN: Final = 130_000
_COLLISIONS_MAX: Final = 20
# A restart takes seconds. Sleeps of 0.1, 0.2, … up to a second: together about ten.
_RECONNECTIONS_MAX: Final = 14
_CLOSE_SECONDS: Final = 30.0
# Any number, the same in every process: whoever migrates holds this lock, with the schema added to it.
_MIGRATION_LOCK: Final = 0x7079_7175 << 24


class ServerClock:
    """The time of the server, as this machine can tell it: leases on many machines are measured by one clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_us = 0

    def now_us(self) -> int:
        return self._clock.now_us() + self._offset_us

    def set_by(self, connection: PostgresConnection) -> None:
        """Learns how far the two clocks are apart. A clock of tests stays as it is."""
        if not isinstance(self._clock, SystemClock):
            return
        asked_us = self._clock.now_us()
        [(server_us,)] = connection.execute_sql(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        ).fetchall()
        self._offset_us = server_us - (asked_us + self._clock.now_us()) // 2


class PostgresStore:
    """Some connections to one database. Each of its writers is in the hands of one caller at a time."""

    def __init__(self, location: Location, *, durability: Durability, clock: Clock, logs_events: bool) -> None:
        self.location = location
        self.logs_events = logs_events
        self.is_async = durability == "process"
        self.clock = ServerClock(clock)
        self._salt: int | None = None
        self._watch: PostgresWriter | None = None
        self._looks = 0
        self._is_closed = False
        self._prepares = True
        self.after_fork()

    @property
    def path(self) -> str:
        """Where it is, without the password."""
        return self.location.shown

    @property
    def is_near(self) -> bool:
        """Each statement is a round trip, so event loops leave transactions to a thread."""
        return False

    @property
    def salt(self) -> int:
        """The salt of the ids; makes the tables if they are not there."""
        if self._salt is None:
            with self._opening:
                if self._salt is None:
                    self._salt = self._open()
        return self._salt

    # --- writers --------------------------------------------------------------------------------

    def take_writer(self, *, waits: bool) -> PostgresWriter | None:
        """A writer for the caller alone; None if all are taken and he does not wait."""
        if not self._free.acquire(blocking=waits):
            return None
        with self._mutex:
            return self._idle.pop() if self._idle else PostgresWriter(self)

    def give_back(self, writer: Writer) -> None:
        """Lets the next one have it."""
        assert isinstance(writer, PostgresWriter)
        if self._is_closed:
            writer.drop()
        with self._mutex:
            self._idle.append(writer)
        self._free.release()

    def may_repeat(self, error: BaseException, attempt: int) -> bool:
        """Whether a transaction that failed with this, for the n-th time, left no trace and is worth another try."""
        if self._is_closed:
            return False
        if errors.is_collision(error) and attempt < _COLLISIONS_MAX:
            time.sleep(random.uniform(0, 0.002 * attempt))
            return True
        if errors.is_lost_preparation(error) and attempt < _COLLISIONS_MAX:
            self._prepares = False
            self._drop_idle()
            return True
        if errors.is_lost_connection(error) and attempt < _RECONNECTIONS_MAX:
            self._drop_idle()  # They were lost with it, most likely.
            if attempt > 1:
                time.sleep(min(0.1 * attempt, 1.0))
            return True
        return False

    def flush(self) -> None:
        """Nothing: a commit waits for the disk by itself."""

    def translated(self, error: Exception) -> Exception:
        """The error of ours that tells what a database error means; others are handed back."""
        return errors.meaning_of(error, self.path) if isinstance(error, psycopg.Error) else error

    # --- reading --------------------------------------------------------------------------------

    def read(self, query: Callable[[Transaction], R]) -> R:
        """Runs a query, each of its statements on a snapshot of its own."""
        attempt = 1
        while True:
            try:
                salt = self.salt
                writer = self.take_writer(waits=True)
                assert writer is not None
                try:
                    connection = writer.connection()
                    return query(PostgresTransaction(connection, now_us=self.clock.now_us(), salt=salt))
                finally:
                    self.give_back(writer)
            except psycopg.Error as error:
                if not self.may_repeat(error, attempt):
                    raise self.translated(error) from error
                attempt += 1

    def snapshot(self, query: Callable[[Transaction], R]) -> R:
        """`read`, with all statements on one snapshot of the data, however long it takes."""
        salt, connection = self.salt, self.connect()
        try:
            connection.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.raw.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            return query(PostgresTransaction(connection, now_us=self.clock.now_us(), salt=salt))
        except psycopg.Error as error:
            raise self.translated(error) from error
        finally:
            connection.close()

    def exists(self) -> bool:
        """Whether the tables are there; makes none."""
        return self._version() > 0

    def migration_sql(self) -> list[str]:
        """The statements that would take the database to the newest version; makes nothing."""
        return script.statements(self._version(), on_postgres=True, schema=self.location.schema)

    def _version(self) -> int:
        try:
            connection = self.connect()
            try:
                return migrations.version_of(connection)
            finally:
                connection.close()
        except psycopg.Error as error:
            raise self.translated(error) from error

    def data_version(self) -> int:
        """A number that changes whenever something was committed. For one thread only."""
        if not self.logs_events:
            self._looks += 1
            return self._looks  # Nothing tells: so it may have.
        _ = self.salt
        self._watch = self._watch or PostgresWriter(self)
        try:
            [(last,)] = self._watch.connection().execute_sql("SELECT last_value FROM pyqueue_position").fetchall()
        except psycopg.Error as error:
            self._watch.drop()
            raise self.translated(error) from error
        return int(last)

    def new_bell(self) -> PostgresBell:
        """Notices of the server."""
        return PostgresBell(self.connect, self.channel, can_listen=not self.location.is_pooled)

    @property
    def channel(self) -> str:
        """Where notices of this queue are sent."""
        return f"pyqueue {self.location.schema or ''}".strip()

    def join(self, connection: Any) -> JoinedPostgres:
        """The caller's transaction on this database."""
        return JoinedPostgres(self, connection)

    # --- opening and closing --------------------------------------------------------------------

    def connect(self) -> PostgresConnection:
        """A new connection, for whoever closes it."""
        if self._is_closed:
            raise QueueClosed("this queue handle was closed; open a new PyQueue on the same URL.")
        return PostgresConnection(self.location, prepares=self._prepares)

    def _open(self) -> int:
        """Makes or changes the tables where that is needed; gives the salt."""
        attempt = 1
        while True:
            try:
                connection = self.connect()
                try:
                    self.clock.set_by(connection)
                    return migrate(connection, self.location)
                finally:
                    connection.close()
            except psycopg.Error as error:
                if not self.may_repeat(error, attempt):
                    raise self.translated(error) from error
                attempt += 1

    def tidy(self) -> None:
        """Looks at the server's clock again, and for dead rows."""
        self._vacuum.begin()
        writer = self.take_writer(waits=False)
        if writer is None:
            return
        try:
            self.clock.set_by(writer.connection())
        except psycopg.Error as error:
            raise self.translated(error) from error
        finally:
            self.give_back(writer)

    def close(self) -> None:
        """Waits for what runs, closes everything, and opens nothing any more."""
        self._is_closed = True
        deadline = time.monotonic() + _CLOSE_SECONDS
        for _ in range(self.location.pool_size):
            self._free.acquire(timeout=max(0.0, deadline - time.monotonic()))
        self._drop_idle()
        for _ in range(self.location.pool_size):
            self._free.release()
        if self._watch is not None:
            self._watch.drop()
        self._vacuum.close()

    def _drop_idle(self) -> None:
        with self._mutex:
            for writer in self._idle:
                writer.drop()

    # --- forks: the child opens connections of its own, and leaves the parent's alone ------------

    def before_fork(self) -> None:
        """Nothing of it is in the way of a fork."""

    def after_fork_in_parent(self) -> None:
        """Goes on as before."""

    def after_fork(self) -> None:
        """Begins afresh: psycopg leaves what another process has opened open."""
        self.ahead = Ahead()
        self._mutex = threading.Lock()
        self._opening = threading.Lock()
        self._free = threading.Semaphore(self.location.pool_size)
        self._idle: list[PostgresWriter] = []
        self._watch = None
        self._vacuum = Vacuum(self.connect)


def migrate(connection: PostgresConnection, location: Location) -> int:
    """Takes the database to the newest version, if it is not there; gives the salt.

    Raises:
        StorageError: the server is too old. SchemaTooNew: the database is newer than this pyqueue.
    """
    version = connection.raw.info.server_version
    if version < VERSION_MIN:
        raise StorageError(f"PostgreSQL {version // 10_000} is too old; expected at least {VERSION_MIN // 10_000}.")
    if migrations.version_of(connection) == len(migrations.STEPS):
        return migrations.salt_of(connection)
    connection.raw.execute("BEGIN")
    try:
        connection.raw.execute(
            "SELECT pg_advisory_xact_lock($1)", (_MIGRATION_LOCK + zlib.crc32((location.schema or "").encode()),)
        )
        if location.schema is not None:
            connection.raw.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted_name(location.schema)}")
            connection.raw.execute(f"SET LOCAL search_path TO {quoted_name(location.schema)}")
        migrations.apply(connection, on_postgres=True)
        salt = migrations.salt_of(connection)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return salt
