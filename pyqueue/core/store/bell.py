"""Datagrams on the loopback interface: "look again", and nothing else.

A process that waits for jobs listens on a port and leaves its number in the database; whoever commits
something that can be pulled sends a datagram there. What it holds is not read: a forged one costs a look, and a
lost one a quarter of a second, until the next poll.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import socket

_HOST = "127.0.0.1"


class LoopbackBell:
    """Sends and receives wake-ups. Without a loopback interface it does nothing, and polling has to do."""

    def __init__(self) -> None:
        self._listening: socket.socket | None = None
        self._sending: socket.socket | None = None
        self.port: int | None = None  # Where this process listens, if it does.

    def listen(self) -> int | None:
        """Opens a port of its own; None where that cannot be."""
        try:
            import socket  # 5 ms that a process which neither waits nor wakes need not spend.

            listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            listening.bind((_HOST, 0))
        except OSError as error:
            log.warning("no wake-ups on the loopback interface; polling instead", extra={"error": str(error)})
            return None
        self._listening = listening
        self.port = int(listening.getsockname()[1])
        return self.port

    def wait(self, seconds: float) -> bool:
        """Whether somebody rang within the time. What rang meanwhile is taken together."""
        listening = self._listening
        if listening is None:
            return False
        try:
            listening.settimeout(seconds)
            listening.recv(1)
            listening.settimeout(0)
            while True:
                listening.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True  # Nothing more to take; or on Windows, an answer to a ring that nobody heard.

    def ring(self, ports: Iterable[int]) -> None:
        """Wakes the processes that listen on these ports. One that is gone, or too busy, is passed over."""
        if self._sending is None:
            try:
                import socket

                self._sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._sending.settimeout(0)
            except OSError:
                return
        for port in ports:
            try:
                self._sending.sendto(b"!", (_HOST, port))
            except OSError:
                continue

    def close(self) -> None:
        """Listens no more."""
        listening, self._listening, self.port = self._listening, None, None
        if listening is not None:
            listening.close()
