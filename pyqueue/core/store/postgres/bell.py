"""Wake-ups by LISTEN and NOTIFY: "look again", and nothing else.

A process that waits listens on a connection of its own and leaves the number of its backend in the database, as on
SQLite it leaves a port. Whoever commits something that can be pulled then has a thread of its own send a notice:
not in the transaction, since PostgreSQL commits those that notify one after another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg

from pyqueue.core.store.dialect import quoted_name
from pyqueue.core.store.postgres.connection import PostgresConnection

log = logging.getLogger(__name__)

_IDLE_SECONDS: Final = 5.0


class PostgresBell:
    """Sends and receives wake-ups. A lost one costs a quarter of a second, until the next poll."""

    def __init__(self, connect: Callable[[], PostgresConnection], channel: str, *, can_listen: bool) -> None:
        self._connect = connect
        self._channel = channel
        self._can_listen = can_listen
        self._listening: PostgresConnection | None = None
        self._mutex = threading.Lock()
        self._ringer: threading.Thread | None = None
        self._is_wanted = threading.Event()

    @property
    def port(self) -> int | None:
        """The number of the backend that listens for this process, if one does."""
        listening = self._listening
        return None if listening is None else listening.backend_pid

    def listen(self) -> int | None:
        """Opens a connection that listens; None behind a pooler, which would give it away."""
        if self._can_listen:
            try:
                listening = self._connect()
                listening.raw.execute(f"LISTEN {quoted_name(self._channel)}")
            except psycopg.Error as error:
                log.warning("no wake-ups by LISTEN; polling instead", extra={"error": str(error)})
                return None
            self._listening = listening
        return self.port

    def wait(self, seconds: float) -> bool:
        """Whether somebody rang within the time. What rang meanwhile is taken together."""
        listening = self._listening
        if listening is None:
            return False
        try:
            return any(True for _ in listening.raw.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:
            log.warning("the connection that listens was lost", extra={"error": str(error)})
            self.close()
            time.sleep(seconds)
            self.listen()
            return True

    def ring(self, ports: list[int]) -> None:
        """Wakes the processes that listen. Returns at once."""
        if not ports:
            return
        self._is_wanted.set()
        with self._mutex:
            if self._ringer is None:
                self._ringer = threading.Thread(target=self._ring, name="pyqueue-notify", daemon=True)
                self._ringer.start()

    def close(self) -> None:
        """Listens no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def _ring(self) -> None:
        """Sends one notice for all that was wanted since the last."""
        connection: PostgresConnection | None = None
        while True:
            if not self._is_wanted.wait(_IDLE_SECONDS):
                with self._mutex:
                    if not self._is_wanted.is_set():
                        self._ringer = None
                        break
            self._is_wanted.clear()
            try:
                connection = connection or self._connect()
                connection.notify(self._channel)
            except psycopg.Error as error:
                log.warning("could not wake other processes", extra={"error": str(error)})
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()
