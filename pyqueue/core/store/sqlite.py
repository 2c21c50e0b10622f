"""A SQLite file: opening it, its connections, its write transactions, and what its errors mean."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

import peewee
from peewee import SqliteDatabase

from pyqueue.core.clock import Clock
from pyqueue.core.errors import (
    PyQueueError,
    StorageBusy,
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageReadOnly,
)
from pyqueue.core.store import migrations
from pyqueue.core.store.transaction import Transaction

Durability = Literal["power", "process"]
R = TypeVar("R")

SQLITE_VERSION_MIN: Final = (3, 35, 0)  # RETURNING

# How long a write waits for other processes before it gives up. A writer holds the lock for
# milliseconds; half a minute of waiting means that somebody forgot a transaction open.
BUSY_SECONDS: Final = 30.0
# SQLite's own busy handler sleeps longer the longer it waits, and starves: with four writers the
# unluckiest gets nothing. A short random sleep that does not grow is fair.
_BUSY_SLEEP_SECONDS: Final = (0.0002, 0.002)

# 4,000 pages: checkpoints are rarer and commits 10–30 % faster than with the default of 1,000.
_PRAGMAS: Final = {"temp_store": "MEMORY", "wal_autocheckpoint": 4_000}
_READERS_KEPT: Final = 4

_FULL, _NORMAL, _OFF = 2, 1, 0


class SqliteStore:
    """The connections to one file: one that writes, under `lock`, and some that read.

    Nothing is opened before the first use. After an error that may have damaged a
    connection all of them are dropped, and the next use opens the file again.
    """

    def __init__(self, path: str, *, durability: Durability, clock: Clock) -> None:
        self.path = path
        self.is_memory = path == ":memory:"
        self.clock = clock
        self.lock = threading.RLock()
        self._durable_sync = _FULL if durability == "power" else _NORMAL
        self._sync: int | None = None
        self._salt: int | None = None
        self._writer: SqliteDatabase | None = None
        self._readers: list[SqliteDatabase] = []
        self._watch: SqliteDatabase | None = None
        self._left_by_fork: list[object] = []

    @property
    def salt(self) -> int:
        """The salt of the ids; opens the file if it is not open."""
        if self._salt is None:
            with self.lock:
                self._open_writer()
        assert self._salt is not None
        return self._salt

    # --- writing: the caller holds `lock` ----------------------------------------------------

    def begin(self, *, durable: bool) -> Transaction:
        """Opens a write transaction. Only `durable` ones need survive a power failure."""
        db = self._open_writer()
        try:
            self._set_sync(db, self._durable_sync if durable else _NORMAL)
            _begin_immediate(db, self.path)
        except (peewee.PeeweeException, sqlite3.Error) as error:
            raise self._translated(error) from error
        return Transaction(db, now_us=self.clock.now_us(), salt=self.salt)

    def commit(self, transaction: Transaction) -> None:
        """Writes what the transaction noted, and commits it."""
        transaction.flush()
        transaction.execute("COMMIT")

    def rollback(self) -> None:
        """Undoes the open transaction, if the error before has not done so."""
        db = self._writer
        if db is None or not db.connection().in_transaction:
            return
        try:
            db.execute_sql("ROLLBACK")
        except (peewee.PeeweeException, sqlite3.Error):
            self.drop_connections()

    def changes_so_far(self) -> int:
        """A number that grows with every row written on the write connection."""
        return 0 if self._writer is None else int(self._writer.connection().total_changes)

    def translated(self, error: Exception) -> Exception:
        """The error of ours that tells what a database error means; others are handed back."""
        if isinstance(error, peewee.PeeweeException | sqlite3.Error):
            return self._translated(error)
        return error

    # --- reading ------------------------------------------------------------------------------

    def read(self, query: Callable[[Transaction], R]) -> R:
        """Runs a query on one snapshot of the data, beside any writer."""
        with self._reader() as db:
            try:
                db.execute_sql("BEGIN")
                try:
                    return query(Transaction(db, now_us=self.clock.now_us(), salt=self.salt))
                finally:
                    db.execute_sql("ROLLBACK")
            except (peewee.PeeweeException, sqlite3.Error) as error:
                raise self._translated(error) from error

    @contextmanager
    def _reader(self) -> Iterator[SqliteDatabase]:
        if self.is_memory:
            with self.lock:
                yield self._open_writer()
            return
        if self._writer is None:
            with self.lock:
                self._open_writer()
        try:
            db = self._readers.pop()
        except IndexError:
            db = self._connect()
        try:
            yield db
        except BaseException:
            db.close()  # It may hold half a statement, or the error may have been its own.
            raise
        if len(self._readers) < _READERS_KEPT and self._writer is not None:
            self._readers.append(db)
        else:
            db.close()

    def data_version(self) -> int:
        """A number that changes whenever another connection has committed. For one thread only.

        SQLite counts per connection, so this keeps one of its own.
        """
        if self.is_memory:
            return 0
        if self._watch is None:
            _ = self.salt  # opens, and if need be creates, the file
            self._watch = self._connect()
        try:
            return int(self._watch.execute_sql("PRAGMA data_version").fetchone()[0])
        except (peewee.PeeweeException, sqlite3.Error) as error:
            self._watch = None
            raise self._translated(error) from error

    # --- opening and closing ------------------------------------------------------------------

    def close(self) -> None:
        with self.lock:
            self.drop_connections()

    def drop_connections(self) -> None:
        """Forgets all connections; the next use opens new ones. The caller holds `lock`."""
        writer, self._writer, self._sync = self._writer, None, None
        readers, self._readers = self._readers, []
        watch, self._watch = self._watch, None
        for db in filter(None, (writer, watch, *readers)):
            try:
                if db.connection().in_transaction:
                    db.connection().rollback()
                db.close()
            except (peewee.PeeweeException, sqlite3.Error):
                continue  # A connection that cannot even be closed: it is not used again.

    def after_fork(self) -> None:
        """In a child: SQLite forbids to use, or even to close, what the parent had open."""
        self._left_by_fork += [self._writer, self._watch, *self._readers]
        self.lock = threading.RLock()
        self._writer, self._watch, self._readers, self._sync = None, None, [], None

    def _open_writer(self) -> SqliteDatabase:
        if self._writer is not None:
            return self._writer
        if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
            raise StorageError(
                f"SQLite {sqlite3.sqlite_version} is too old; expected at least 3.35. Use a newer Python build."
            )
        self._check_path()
        db = self._connect()
        try:
            if not self.is_memory:
                self._switch_to_wal(db)
            _begin_immediate(db, self.path)
            migrations.apply(db)
            db.execute_sql("COMMIT")
            self._salt = migrations.salt_of(db)
        except (peewee.PeeweeException, sqlite3.Error, PyQueueError) as error:
            connection = db.connection()
            if connection.in_transaction:
                connection.rollback()
            db.close()
            if isinstance(error, PyQueueError):
                raise
            raise self._translated(error) from error
        self._writer = db
        return db

    def _connect(self) -> SqliteDatabase:
        # One connection, used by whichever thread holds the lock: so no thread-local state.
        db = SqliteDatabase(
            self.path, pragmas=_PRAGMAS, thread_safe=False, check_same_thread=False, timeout=0, uri=False
        )
        try:
            db.connect()
        except (peewee.PeeweeException, sqlite3.Error) as error:
            raise self._translated(error) from error
        return db

    def _check_path(self) -> None:
        if self.is_memory:
            return
        path = Path(self.path)
        if path.is_dir():
            raise StorageError(
                f"{self.path!r} is a folder; expected the path of a file. Try {str(path / 'jobs.db')!r}."
            )
        if not path.parent.is_dir():
            raise StorageError(
                f"the folder of {self.path!r} does not exist; create {str(path.parent)!r} or choose another path."
            )

    def _switch_to_wal(self, db: SqliteDatabase) -> None:
        """Several processes may open a new file at once; the switch needs it alone for a moment."""
        mode = _patiently(self.path, lambda: db.execute_sql("PRAGMA journal_mode = WAL").fetchone()[0])
        if mode != "wal":
            raise StorageError(
                f"{self.path!r} stays in journal mode {mode!r}; expected 'wal', which a network or other special "
                "file system does not allow. Put the file on a local disk."
            )

    def _set_sync(self, db: SqliteDatabase, sync: int) -> None:
        sync = _OFF if self.is_memory else min(sync, self._durable_sync)
        if sync != self._sync:
            db.execute_sql(f"PRAGMA synchronous = {sync}")
            self._sync = sync

    def _translated(self, error: Exception) -> StorageError:
        translated = _meaning(error, self.path)
        is_lasting = isinstance(translated, StorageCorrupt | StorageReadOnly) or type(translated) is StorageError
        # The connection may remember the fault (a read-only file, a lost disk): start afresh.
        if is_lasting and not self.is_memory and self.lock.acquire(blocking=False):
            try:
                self.drop_connections()
            finally:
                self.lock.release()
        return translated


def _begin_immediate(db: SqliteDatabase, path: str) -> None:
    # IMMEDIATE, not DEFERRED: of two deferred transactions that read and then write, one gets
    # SQLITE_BUSY at once, and no busy handler helps it.
    _patiently(path, lambda: db.execute_sql("BEGIN IMMEDIATE"))


def _patiently(path: str, action: Callable[[], R]) -> R:
    """Repeats a statement while another connection holds the lock it needs."""
    deadline: float | None = None
    while True:
        try:
            return action()
        except peewee.OperationalError as error:
            if _code_of(error) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            now = time.monotonic()
            deadline = deadline or now + BUSY_SECONDS
            if now >= deadline:
                raise StorageBusy(
                    f"{path!r} was locked by another writer for {BUSY_SECONDS:.0f} s; expected write transactions of "
                    "milliseconds. Look for a process that keeps a transaction open, and try again."
                ) from error
            time.sleep(random.uniform(*_BUSY_SLEEP_SECONDS))


def _code_of(error: BaseException) -> int:
    """The extended result code of SQLite behind an error, or 0."""
    while error is not None:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None:
            return int(code)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # None ends the loop
    return 0


def _meaning(error: Exception, path: str) -> StorageError:
    code = _code_of(error) & 0xFF
    fact = str(error).strip() or type(error).__name__
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(f"no room to write {path!r} ({fact}); nothing was stored. Free disk space and try again.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StorageReadOnly(
            f"{path!r} cannot be written ({fact}); expected write permission on the file and on its folder "
            "(SQLite keeps two more files beside it). Change the permissions and try again."
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageCorrupt(
            f"{path!r} is damaged or no SQLite database ({fact}); nothing was written to it. Restore a backup, "
            "or recover it with the sqlite3 shell's .recover command."
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageBusy(f"{path!r} is locked by another connection ({fact}). Try again.")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StorageError(
            f"{path!r} cannot be opened ({fact}); expected a file that this user may read and write, "
            "in a folder where it may create files."
        )
    return StorageError(f"{path!r} failed ({fact}); nothing of the operation was kept.")
