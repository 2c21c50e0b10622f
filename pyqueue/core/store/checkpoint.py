"""Moving the write-ahead log into the file, beside the callers instead of in their way.

SQLite by itself does this inside the commit that finds the log long, whose caller then waits for
thousands of pages to be written. Here a thread does it, whenever enough has been written since.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from pyqueue.core.store.connection import Connection
from pyqueue.core.store.uses import Uses

log = logging.getLogger(__name__)

# About 4 MB of log with small transactions; a checkpoint of that takes a few milliseconds.
_COMMITS: Final = 1_000
_ROWS: Final = 20_000
_LONG_BYTES: Final = 4 * 1024 * 1024
_CUT_BYTES: Final = 64 * 1024 * 1024
_PATIENCE_MS: Final = 20
_IDLE_SECONDS: Final = 2.0
# Time for a thread that was woken to get the processor on a busy machine. An event loop may be what waits here.
_GIVE_WAY_SECONDS: Final = 0.1


class Checkpointer:
    """Counts what is written, and checkpoints on a thread of its own. The thread ends when there is nothing to do."""

    def __init__(
        self,
        path: str,
        connect: Callable[[], Connection],
        writers_lock: Callable[[], AbstractContextManager[Any]],
        uses: Uses,
    ) -> None:
        self._uses = uses
        self._path = path
        self._connect = connect
        self._writers_lock = writers_lock
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: thread and connection were the parent's."""
        self._mutex = threading.Lock()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.waits_for_writers = False
        self._came_in = threading.Event()
        self._commits = 0
        self._rows_at_last = 0

    def note_commit(self, total_changes: int) -> None:
        """To be called after each commit, with the growing number of rows the writer has written."""
        self._commits += 1
        if self._commits < _COMMITS and total_changes - self._rows_at_last < _ROWS:
            return
        self._commits, self._rows_at_last = 0, total_changes
        self._request()

    def give_way(self) -> None:
        """To be called by a writer that has left the lock while the thread waits for it: returns when that has come in.

        A lock goes to whoever is there first, so a writer that writes on and on has it again before the thread
        has woken up, and the log grows meanwhile.
        """
        self._came_in.wait(_GIVE_WAY_SECONDS)

    def tidy(self) -> None:
        """Checkpoints if the log is long, whoever has written it: short-lived processes leave theirs to others."""
        try:
            is_long = os.path.getsize(self._path + "-wal") > _LONG_BYTES
        except OSError:
            return  # No log, or none that can be seen.
        if is_long:
            self._request()

    def _request(self) -> None:
        with self._mutex:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name="pyqueue-checkpoint", daemon=True)
                self._thread.start()
        self._work.set()

    def close(self) -> None:
        """Ends the thread. SQLite checkpoints by itself when the last connection to a file closes."""
        self._is_closed = True
        self._work.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            with self._uses.one():
                connection = self._connect()
            connection.execute_sql(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        except Exception as error:
            log.warning("cannot checkpoint", extra={"error": str(error)})
            self._thread = None
            return
        while not self._is_closed:
            if not self._work.wait(_IDLE_SECONDS):
                with self._mutex:
                    if not self._work.is_set():
                        self._thread = None
                        break
            self._work.clear()
            self._checkpoint(connection)
        with self._uses.one():
            connection.close()

    def _checkpoint(self, connection: Connection) -> None:
        try:
            with self._uses.one():
                connection.execute_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            # What was written meanwhile is little, so the writers' wait for the rest is short: those of this process
            # wait at the lock, others as for any writer. Then the log begins anew in its old place, which is
            # much faster to flush than a file that grows. Where a reader still needs it this soon gives up, and
            # the next round tries again; a log that has become very long is cut when that succeeds.
            is_very_long = os.path.getsize(self._path + "-wal") > _CUT_BYTES
            with self._uses.one(), self._turn():
                mode = "TRUNCATE" if is_very_long else "RESTART"
                connection.execute_sql(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except (sqlite3.Error, OSError) as error:
            log.debug("checkpoint put off", extra={"error": str(error)})

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The writers' lock, which they leave to a thread that waits for it."""
        self._came_in.clear()
        self.waits_for_writers = True
        with self._writers_lock():
            self.waits_for_writers = False
            self._came_in.set()
            yield
