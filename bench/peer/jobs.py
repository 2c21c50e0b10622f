"""What every queue runs: a job that does nothing, and one that tells when it began."""

from __future__ import annotations

import socket
import struct
import time


def noop() -> None:
    """Nothing."""


def stamp(port: int) -> None:
    """Sends the time to a socket of the driver. `perf_counter` has one origin for all processes of a machine."""
    now = time.perf_counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(struct.pack("d", now), ("127.0.0.1", port))


async def anoop() -> None:
    """Nothing, on an event loop."""


async def astamp(port: int) -> None:
    """`stamp` on an event loop."""
    stamp(port)
