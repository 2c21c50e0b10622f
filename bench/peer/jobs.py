"""What every queue runs: a job that does nothing, one that tells when it began, and one that notes that it ran."""

from __future__ import annotations

import os
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


def note(job_id: str) -> None:
    """Writes an id behind those of the others into `BENCH_RUNS`; small writes that append are atomic."""
    file = os.open(os.environ["BENCH_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, job_id.encode() + b"\n")
    os.close(file)


async def anoop() -> None:
    """Nothing, on an event loop."""


async def astamp(port: int) -> None:
    """`stamp` on an event loop."""
    stamp(port)
