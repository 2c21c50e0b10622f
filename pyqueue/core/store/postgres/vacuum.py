"""Having the dead rows of jobs removed before claims have to walk over many of them.

The server looks at its tables once a minute. At ten thousand jobs a second half a million entries of the index of
waiting jobs are dead by then, all at its head, and a claim takes 10 ns for each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

import psycopg

from pyqueue.core.errors import PyQueueError
from pyqueue.core.store.postgres.connection import PostgresConnection

log = logging.getLogger(__name__)

# A vacuum reads the primary key as a whole, some 20 ms for each million jobs: so it waits for more in a large table.
_DEAD_MIN: Final = 20_000
_DEAD_SHARE: Final = 0.005

_ROWS: Final = """
    SELECT n_dead_tup, n_live_tup FROM pg_stat_all_tables WHERE relid = CAST('pyqueue_job' AS regclass)
"""
# The indexes too, however few pages hold dead rows; and beside nobody else who does the same.
_VACUUM: Final = "VACUUM (INDEX_CLEANUP ON, PARALLEL 0, SKIP_LOCKED, TRUNCATE OFF) pyqueue_job"


class Vacuum:
    """Looks for dead rows, and removes them, in a thread of its own."""

    def __init__(self, connect: Callable[[], PostgresConnection]) -> None:
        self._connect = connect
        self._connection: PostgresConnection | None = None
        self._thread: threading.Thread | None = None
        self._left = 0

    def begin(self) -> None:
        """Starts one look, if none is under way."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="pyqueue-vacuum", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends the one that is under way."""
        connection = self._connection
        if connection is not None:
            connection.cancel()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._connection = self._connect()
            try:
                self._look(self._connection)
            finally:
                connection, self._connection = self._connection, None
                connection.close()
        except (psycopg.Error, PyQueueError) as error:
            log.debug("dead rows were left to the server", extra={"error": str(error)})

    def _look(self, connection: PostgresConnection) -> None:
        [(dead, live)] = connection.execute_sql(_ROWS).fetchall()
        # What a long transaction may still see cannot be removed, nor what belongs to another role: then seldom again.
        if dead < max(_DEAD_MIN + _DEAD_SHARE * live, 2 * self._left):
            return
        self._left = dead
        connection.execute_sql(_VACUUM)
        [(self._left, _)] = connection.execute_sql(_ROWS).fetchall()
