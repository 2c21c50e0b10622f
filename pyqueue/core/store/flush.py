"""Flushing the write-ahead log to the disk: behind the commit, not within it.

SQLite's own way (`synchronous=FULL`) flushes while it holds the write lock, so the processes that share a file
wait for the disk one after the other. Here the commit writes the log and lets go of the lock. Then the log is
flushed, beside the commits and flushes of others, and only when that is done does the caller hear of his commit. The
log is written in order, and all that stands before a commit is flushed with it. If a checkpoint was faster, that has
flushed both log and file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from pyqueue.core.errors import StorageError
from pyqueue.core.store.connection import Connection

# Where there is a way to leave out what is only about the file and not in it, SQLite uses that too.
_flush_file: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
_FILE_FLAGS: Final = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class LogFlusher:
    """Flushes the log of a file. To be used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._log: int | None = None
        self._is_doubtful = False

    def flush(self, connection: Connection) -> None:
        """Returns when all that was committed before is on disk.

        Raises:
            StorageError: the disk failed. What was committed may have been kept or not.
        """
        if not self._is_doubtful:
            try:
                if self._log is None:
                    # No locks of SQLite's are on this file, so that to close it releases none.
                    self._log = os.open(self._path + "-wal", _FILE_FLAGS)
                _flush_file(self._log)
            except OSError as error:
                self._is_doubtful = True
                raise self._failed(error) from error
            return
        # A flush that failed may have lost what it should have written, and another of the same file would not say so.
        # What comes behind such a gap in the log cannot be relied on: so all of it has to go into the file first.
        busy, _, _ = connection.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise self._failed("its log could not be flushed before, and is in use")
        self._is_doubtful = False

    def close(self) -> None:
        """Lets go of the log. What is doubtful remains so."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _failed(self, fact: object) -> StorageError:
        return StorageError(
            f"{self._path!r} could not be flushed to the disk ({fact}); what was written may have been kept or not. "
            "Look for the job before you repeat the call, and see to the disk."
        )
