"""One connection to a SQLite file, and what its errors mean."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from sqlite3 import connect
from typing import Any, Final, TypeVar

from pyqueue.core.errors import StorageBusy, StorageCorrupt, StorageError, StorageFull, StorageReadOnly
from pyqueue.core.store.executor import Cursor

R = TypeVar("R")

# How long a write waits for other processes before it gives up. A writer holds the lock for
# milliseconds; half a minute of waiting means that somebody forgot a transaction open.
BUSY_SECONDS: Final = 30.0
# SQLite's own busy handler sleeps longer the longer it waits, and starves: with four writers the
# unluckiest gets nothing. A short random sleep that does not grow is fair.
_BUSY_SLEEP_SECONDS: Final = (0.0002, 0.002)
# A reader never waits for writers. But a connection that has just been opened is turned away for the moment in
# which another process closes the file or mends its log; nobody competes there, so SQLite's own handler will do.
_READ_SECONDS: Final = 10.0

# Checkpoints are made beside the callers (`store.checkpoint`); a commit makes one itself only if the log has
# grown to 128 MB in spite of that.
_PRAGMAS: Final = {"temp_store": "MEMORY", "wal_autocheckpoint": 32_768}


class Connection:
    """A connection of the driver's, which any thread may use that has it to itself.

    Not one of peewee's: its call around a statement costs as much as a small one, and importing it imports every
    driver that is installed, which psycopg alone makes 10 MB of each process.
    """

    def __init__(self, path: str, *, reads_only: bool = False) -> None:
        self.path = path
        timeout = _READ_SECONDS if reads_only else 0
        self._connection = connect(path, timeout, isolation_level=None, check_same_thread=False)
        self.execute_sql: Callable[..., Cursor] = self._connection.execute
        try:
            for name, value in _PRAGMAS.items():
                self.execute_sql(f"PRAGMA {name} = {value}")
        except BaseException:
            self._connection.close()
            raise

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes

    def real_path(self) -> str:
        """Where the file is, links followed: its log is beside it there."""
        return str(self.execute_sql("PRAGMA database_list").fetchone()[2])

    def begin_immediate(self, seconds: float = BUSY_SECONDS) -> None:
        """Takes the write lock, however long others hold it, up to `seconds`.

        IMMEDIATE, not DEFERRED: of two deferred transactions that read and then write, one gets
        SQLITE_BUSY at once, and no busy handler helps it.
        """
        self.patiently("BEGIN IMMEDIATE", seconds)

    def patiently(self, sql: str, seconds: float = BUSY_SECONDS) -> Sequence[Any] | None:
        """Repeats a statement while another connection holds the lock it needs; gives its first row.

        Raises:
            StorageBusy: it was held for longer than `seconds`.
        """
        deadline: float | None = None
        while True:
            try:
                row: Sequence[Any] | None = self.execute_sql(sql).fetchone()
                return row
            except sqlite3.OperationalError as error:
                if _code_of(error) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                now = time.monotonic()
                deadline = deadline or now + seconds
                if now >= deadline:
                    raise StorageBusy(
                        f"{self.path!r} was locked by another writer for {seconds:.0f} s; expected write "
                        "transactions of milliseconds. Look for a process that keeps a transaction open, and try again."
                    ) from error
                time.sleep(random.uniform(*_BUSY_SLEEP_SECONDS))

    def rollback(self) -> None:
        """Undoes what is open; nothing if nothing is."""
        self._connection.rollback()

    def close(self) -> None:
        """Closes it, whatever state it is in."""
        try:
            self._connection.rollback()
            self._connection.close()
        except sqlite3.Error:
            return  # A connection that cannot even be closed: it is not used again.


def meaning_of(error: Exception, path: str) -> StorageError:
    """The error of ours that says what a database error means and what to do."""
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


def _code_of(error: BaseException) -> int:
    """The extended result code of SQLite behind an error, or 0."""
    cause: BaseException | None = error
    while cause is not None:
        code = getattr(cause, "sqlite_errorcode", None)
        if code is not None:
            return int(code)
        cause = cause.__cause__ or cause.__context__
    return 0
