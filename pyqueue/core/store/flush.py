"""Flushing the write-ahead log to the disk: behind the commit, not within it.

SQLite's own way (`synchronous=FULL`) flushes while it holds the write lock, so all who share a file wait for the disk
one after the other. Here the commit writes the log and lets go of the lock. Then the log is flushed, beside the
commits and flushes of others, and only when that is done does the caller hear of his commit. The log is written in
order, and all that stands before a commit is flushed with it. If a checkpoint was faster, that has flushed both log
and file.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Final

from pyqueue.core.errors import StorageError

# Where there is a way to leave out what is only about the file and not in it, SQLite uses that too.
_flush_file: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
_FILE_FLAGS: Final = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class LogFlusher:
    """Flushes the log of a file. `checkpoint` moves all of the log into the file, and flushes that."""

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        self._checkpoint = checkpoint
        self._log: int | None = None
        self._is_doubtful = False
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: who flushed was the parent's."""
        self._turn = threading.Lock()
        # Flushes asked for, and up to which of them all went well, or not. Two threads may draw the same number: both
        # had committed then, so what covers one covers the other.
        self._asked = self._done = self._failed = 0
        self._failure: OSError | StorageError | None = None

    def open(self, path: str) -> None:
        """Takes the log of the file at `path`, which SQLite must have made."""
        self.close()
        # No locks of SQLite's are on this file, so that to close it releases none.
        self._log = os.open(f"{path}-wal", _FILE_FLAGS)
        self._let_go = weakref.finalize(self, os.close, self._log)  # A handle may be forgotten without a `close`.
        self._let_go.atexit = False  # Threads may outlive the main thread, and push.

    def flush(self) -> None:
        """Returns when all that was committed before the call is on disk.

        Raises:
            StorageError: the disk failed. What was committed may have been kept or not.
        """
        mine = self._asked = self._asked + 1
        with self._turn:
            if mine > max(self._done, self._failed):
                self._flush_all()
            if mine <= self._failed:
                raise StorageError(
                    f"the log could not be flushed to the disk ({self._failure}); what was written may have been kept "
                    "or not. Look for the job before you repeat the call, and see to the disk."
                ) from self._failure

    def close(self) -> None:
        """Flushes, and lets go of the log; until `open` nothing may be committed. What is doubtful remains so."""
        with self._turn:
            if self._log is not None:
                self._flush_all()
                self._log = None
                self._let_go()

    def _flush_all(self) -> None:
        asked = self._asked
        try:
            if self._is_doubtful:
                # A flush that failed may have lost what it should have written, and another of the same file would
                # not say so. What comes behind such a gap in the log cannot be relied on: all has to go into the file.
                self._checkpoint()
                self._is_doubtful = False
            elif self._log is not None:  # Else it was flushed when it was closed.
                _flush_file(self._log)
        except (OSError, StorageError) as error:
            self._is_doubtful, self._failed, self._failure = True, asked, error
        else:
            self._done = asked
