"""A SQLite file: opening it, its connections, its write transactions and its snapshots."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from pyqueue.core.clock import Clock
from pyqueue.core.errors import PyQueueError, QueueClosed, StorageCorrupt, StorageError, StorageReadOnly
from pyqueue.core.store import effects, migrations, script
from pyqueue.core.store.bell import LoopbackBell
from pyqueue.core.store.checkpoint import Checkpointer
from pyqueue.core.store.connection import BUSY_SECONDS, Connection, meaning_of
from pyqueue.core.store.flush import LogFlusher
from pyqueue.core.store.joined import JoinedTransaction
from pyqueue.core.store.store import Durability, Writer
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.store.uses import Uses

R = TypeVar("R")

SQLITE_VERSION_MIN: Final = (3, 35, 0)  # RETURNING

_READERS_KEPT: Final = 4
# How long a fork waits for statements to end. They take milliseconds, unless another process holds the lock.
_FORK_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 30.0


class SqliteStore:
    """The connections to one file: one that writes, under `lock`, and some that read.

    Nothing is opened before the first use. After an error that may have damaged a
    connection all of them are dropped, and the next use opens the file again.
    """

    def __init__(self, path: str, *, durability: Durability, clock: Clock, logs_events: bool) -> None:
        self.path = path
        self.is_memory = path == ":memory:"
        self.clock = clock
        self.logs_events = logs_events
        self.lock = threading.RLock()
        self._flusher = LogFlusher(self._checkpoint) if durability == "power" and not self.is_memory else None
        self._salt: int | None = None
        self._writer: Connection | None = None
        self._readers: list[Connection] = []
        self._watch: Connection | None = None
        self._uses = Uses()
        self._is_at_rest, self._has_lock = False, False
        self._is_spoilt_by_fork = False
        self._is_closed = False
        self._checkpointer = Checkpointer(path, self._connect, lambda: self.lock, self._uses)

    @property
    def salt(self) -> int:
        """The salt of the ids; opens the file if it is not open."""
        if self._salt is None:
            with self.lock:
                self._open_writer()
        assert self._salt is not None
        return self._salt

    @property
    def is_near(self) -> bool:
        """It is in this process."""
        return True

    # --- writing: the store is its own one writer, for whoever holds `lock` --------------------

    def take_writer(self, *, waits: bool) -> SqliteStore | None:
        """The writer for the caller alone; None if it is taken and he does not wait."""
        try:
            return self if self.lock.acquire(blocking=waits) else None
        except BaseException:
            # What is sent into a thread that waits here strikes when the wait is over, and the lock may be ours.
            with suppress(RuntimeError):
                self.lock.release()
            raise

    def give_back(self, _: Writer) -> None:
        """Lets the next one have it."""
        self.lock.release()
        if self._checkpointer.waits_for_writers:
            self._checkpointer.give_way()

    def begin(self, *, durable: bool, waits: bool = True) -> Transaction:
        """Opens a write transaction; a `durable` one is to be followed by `flush`.

        Raises:
            StorageBusy: another process writes; at once, unless this `waits`.
        """
        writer = self._writer or self._open_writer()
        try:
            writer.begin_immediate(BUSY_SECONDS if waits else 0.0)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        assert self._salt is not None  # known since the file was opened
        return Transaction(writer, now_us=self.clock.now_us(), salt=self._salt)

    def commit(self, transaction: Transaction) -> None:
        """Writes what the transaction noted, and commits it."""
        effects.write(transaction, logs_events=self.logs_events)
        transaction.execute("COMMIT")
        if not self.is_memory and self._writer is not None:
            self._checkpointer.note_commit(self._writer.total_changes)

    def rollback(self) -> None:
        """Undoes the open transaction, if the error before has not done so."""
        if self._writer is None:
            return
        try:
            self._writer.rollback()
        except sqlite3.Error:
            self.drop_connections()

    def has_committed(self) -> bool | None:
        """For a thread that was interrupted in a transaction: whether it was committed."""
        return None if self._writer is None else not self._writer.in_transaction

    def flush(self) -> None:
        """Returns when all that was committed before the call survives a power failure, if that was asked for."""
        if self._flusher is not None:
            self._flusher.flush()

    def changes_so_far(self) -> int:
        """A number that grows with every row written on the write connection."""
        return 0 if self._writer is None else self._writer.total_changes

    def translated(self, error: Exception) -> Exception:
        """The error of ours that tells what a database error means; others are handed back."""
        return self._translated(error) if isinstance(error, sqlite3.Error) else error

    def may_repeat(self, _: BaseException, __: int) -> bool:
        """Never: the wait for other writers is behind whoever holds the write lock."""
        return False

    # --- reading ------------------------------------------------------------------------------

    def read(self, query: Callable[[Transaction], R]) -> R:
        """Runs a query on one snapshot of the data, beside any writer."""
        with self._uses.one(), self._reader() as reader:
            try:
                reader.execute_sql("BEGIN")
                try:
                    return query(Transaction(reader, now_us=self.clock.now_us(), salt=self.salt))
                finally:
                    reader.rollback()
            except sqlite3.Error as error:
                raise self._translated(error) from error

    def snapshot(self, query: Callable[[Transaction], R]) -> R:
        """`read`, which is on one snapshot."""
        return self.read(query)

    def exists(self) -> bool:
        """Whether there are our tables in the file; makes neither."""
        return self.is_memory or self._version() > 0

    def migration_sql(self) -> list[str]:
        """The statements that would take the file to the newest version; makes nothing."""
        return script.statements(0 if self.is_memory else self._version(), on_postgres=False)

    def _version(self) -> int:
        if not os.path.exists(self.path):
            return 0
        self._check_path()
        reader = self._connect(reads_only=True)
        try:
            return migrations.version_of(reader)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        finally:
            reader.close()

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        if self.is_memory:
            with self.lock:
                yield self._open_writer()
            return
        if self._writer is None:
            with self.lock:
                self._open_writer()
        try:
            reader = self._readers.pop()
        except IndexError:
            reader = self._connect(reads_only=True)
        try:
            yield reader
        except BaseException:
            reader.close()  # It may hold half a statement, or the error may have been its own.
            raise
        if len(self._readers) < _READERS_KEPT and self._writer is not None:
            self._readers.append(reader)
        else:
            reader.close()

    def data_version(self) -> int:
        """A number that changes whenever another connection has committed. For one thread only.

        SQLite counts per connection, so this keeps one of its own.
        """
        if self.is_memory:
            return 0
        if self._watch is None:
            _ = self.salt  # opens, and if need be creates, the file
            self._watch = self._connect(reads_only=True)
        try:
            with self._uses.one():
                return int(self._watch.execute_sql("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            self._watch = None
            raise self._translated(error) from error

    def new_bell(self) -> LoopbackBell:
        """Datagrams: whoever uses the file is on this machine."""
        return LoopbackBell()

    def join(self, connection: Any) -> JoinedTransaction:
        """The caller's transaction on this file."""
        return JoinedTransaction(self, connection)

    # --- opening and closing ------------------------------------------------------------------

    def close(self) -> None:
        """Waits for the reads that run, closes everything, and opens nothing any more."""
        self._is_closed = True
        self._checkpointer.close()
        self._uses.stop(_CLOSE_SECONDS)
        try:
            with self.lock:
                self.drop_connections()
        finally:
            self._uses.go_on()

    def tidy(self) -> None:
        """Keeps the write-ahead log short; to be called from time to time."""
        if not self.is_memory:
            self._checkpointer.tidy()

    def drop_connections(self) -> None:
        """Forgets all connections; the next use opens new ones. The caller holds `lock`."""
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, []
        watch, self._watch = self._watch, None
        if self._flusher is not None:
            self._flusher.close()
        for connection in filter(None, (writer, watch, *readers)):
            connection.close()

    def before_fork(self) -> None:
        """Waits until no connection is in use, and keeps them so."""
        # Uses before the lock, as everywhere: a reader may need the lock to open the file.
        is_quiet = self._uses.stop(_FORK_SECONDS)
        self._has_lock = self.lock.acquire(timeout=_FORK_SECONDS)
        self._is_at_rest = is_quiet and self._has_lock

    def after_fork_in_parent(self) -> None:
        """Goes on as before."""
        if self._has_lock:
            self.lock.release()
        self._uses.go_on()

    def after_fork(self) -> None:
        """In a child: closes the copies of the parent's connections. Where they were in use that cannot be done."""
        self.lock = threading.RLock()
        self._uses.after_fork()
        self._checkpointer.after_fork()
        if self._flusher is not None:
            self._flusher.after_fork()
        if self._is_at_rest:
            self.drop_connections()
        else:
            self._is_spoilt_by_fork = True

    def _open_writer(self) -> Connection:
        if self._writer is not None and not self._is_spoilt_by_fork:
            return self._writer
        if self._is_closed:
            raise QueueClosed("this queue handle was closed; open a new PyQueue on the same path.")
        if self._is_spoilt_by_fork:
            raise StorageError(
                f"this process was forked while {self.path!r} was in use, so it cannot be used safely here; "
                "fork before the first use of the queue, or open it in a process that is started anew."
            )
        if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
            raise StorageError(
                f"SQLite {sqlite3.sqlite_version} is too old; expected at least 3.35. Use a newer Python build."
            )
        self._check_path()
        connection = self._connect()
        try:
            if not self.is_memory:
                self._switch_to_wal(connection)
            connection.begin_immediate()
            migrations.apply(connection)
            connection.execute_sql("COMMIT")
            # What must be on disk is flushed behind its commit: see `store.flush`.
            connection.execute_sql(f"PRAGMA synchronous = {'OFF' if self.is_memory else 'NORMAL'}")
            self._salt = migrations.salt_of(connection)
            if self._flusher is not None:
                self._flusher.open(connection.real_path())
        except (sqlite3.Error, PyQueueError) as error:
            connection.close()
            if isinstance(error, PyQueueError):
                raise
            raise self._translated(error) from error
        self._writer = connection
        return connection

    def _connect(self, *, reads_only: bool = False) -> Connection:
        try:
            return Connection(self.path, reads_only=reads_only)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _check_path(self) -> None:
        if self.is_memory:
            return
        folder = os.path.dirname(self.path) or "."
        if os.path.isdir(self.path):
            raise StorageError(
                f"{self.path!r} is a folder; expected the path of a file. Try {os.path.join(self.path, 'jobs.db')!r}."
            )
        if not os.path.isdir(folder):
            raise StorageError(f"the folder of {self.path!r} does not exist; create {folder!r} or choose another path.")

    def _switch_to_wal(self, connection: Connection) -> None:
        """Several processes may open a new file at once; the switch needs it alone for a moment."""
        row = connection.patiently("PRAGMA journal_mode = WAL")
        if row is None or row[0] != "wal":
            raise StorageError(
                f"{self.path!r} cannot be put into journal mode 'wal', which a network or other special "
                "file system does not allow. Put the file on a local disk."
            )

    def _checkpoint(self) -> None:
        """Moves all of the log into the file, and flushes that."""
        connection = self._connect()
        try:
            busy, _, _ = connection.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise meaning_of(error, self.path) from error
        finally:
            connection.close()
        if busy:
            raise StorageError(f"the log of {self.path!r} could not be flushed before, and is in use.")

    def _translated(self, error: Exception) -> StorageError:
        translated = meaning_of(error, self.path)
        is_lasting = isinstance(translated, StorageCorrupt | StorageReadOnly) or type(translated) is StorageError
        # The connection may remember the fault (a read-only file, a lost disk): start afresh.
        if is_lasting and not self.is_memory and self.lock.acquire(blocking=False):
            try:
                self.drop_connections()
            finally:
                self.lock.release()
        return translated
