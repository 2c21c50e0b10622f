"""Clients of the TCP server: one that blocks and uses the standard library, and a crowd of connections.

The crowd sends lines made beforehand and counts the replies, so that the server and not the client is measured.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from typing import Any, NamedTuple

JOBS, BATCH = 5_000, 50


class Blocking:
    """One command at a time, encoded and decoded by `json`: what most clients are."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def call(self, **command: Any) -> dict[str, Any]:
        self._socket.sendall(json.dumps(command).encode() + b"\n")
        reply: dict[str, Any] = json.loads(self._file.readline())
        assert reply["ok"], reply
        return reply

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def push(self, count: int) -> None:
        jobs = [{"name": "bench", "data": {"n": number}} for number in range(count)]
        self.call(cmd="push_batch", queue="bench", jobs=jobs)

    def pull(self, count: int) -> list[str]:
        return [job["id"] for job in self.call(cmd="pull", queue="bench", count=count)["jobs"]]

    def ack(self, ids: list[str]) -> None:
        self.call(cmd="ack_batch", ids=ids)


class Rates(NamedTuple):
    """Jobs per second."""

    produce: float
    consume: float
    end_to_end: float


def batches(port: int, jobs: int = JOBS) -> Rates:
    """Produce, consume, then both in turn, in batches of 50 over one connection."""
    client = Blocking(port)
    rounds = jobs // BATCH
    started = time.perf_counter()
    for _ in range(rounds):
        client.push(BATCH)
    produced = time.perf_counter()
    for _ in range(rounds):
        client.ack(client.pull(BATCH))
    consumed = time.perf_counter()
    for _ in range(rounds):
        client.push(BATCH)
        client.ack(client.pull(BATCH))
    ended = time.perf_counter()
    client.close()
    return Rates(jobs / (produced - started), jobs / (consumed - produced), jobs / (ended - consumed))


class Crowd(NamedTuple):
    """Single pushes per second of all connections together, and the 99th percentile from sent to answered."""

    rate: float
    p99_ms: float


def pushes(port: int, clients: int, in_flight: int, seconds: float) -> Crowd:
    """Single pushes over many connections, each with so many unanswered."""
    line = b'{"cmd":"push","queue":"bench","name":"bench","data":{"n":1}}\n'
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, deque[tuple[float, int]]] = {}
    for _ in range(clients):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        sent[connection] = deque([(time.perf_counter(), in_flight)])
        connection.sendall(line * in_flight)
    waits: list[float] = []
    started = now = time.perf_counter()
    done = 0
    while now - started < seconds:
        for key, _ in selector.select():
            connection = key.fileobj  # type: ignore[assignment]  # we registered sockets
            answered = connection.recv(262_144).count(b"\n")
            now = time.perf_counter()
            done += answered
            connection.sendall(line * answered)
            _note(sent[connection], answered, now, waits)
    for connection in sent:
        connection.close()
    waits.sort()
    return Crowd(done / (now - started), waits[int(len(waits) * 0.99)] * 1_000)


def _note(sent: deque[tuple[float, int]], answered: int, now: float, waits: list[float]) -> None:
    sent.append((now, answered))
    while answered:
        at, count = sent[0]
        waits.append(now - at)
        if count <= answered:
            sent.popleft()
        else:
            sent[0] = (at, count - answered)
        answered -= min(count, answered)
