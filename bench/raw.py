"""The limit: what the same transactions cost with bare `sqlite3`, one connection, and nothing else.

Same file format, same table, same indexes, same transaction pattern: one push, one claim or one ack of n
jobs is one IMMEDIATE transaction with as few statements as it can do with. The payload is turned into JSON
as any producer must do; there are no checks, no counters, no ids but a count, no leases that could be lost.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from pathlib import Path

import msgspec

from pyqueue import PyQueue

PAYLOAD = {"to": "user@example.org", "template": "welcome", "lang": "en"}


def create(path: Path) -> None:
    """Makes the file with pyqueue's own schema."""
    with PyQueue(path) as queue:
        queue.stats("q")


class RawQueue:
    """The bare statements on a file that pyqueue has made.

    `timeout_seconds`: how long SQLite's own busy handler waits for other processes; 0 says there are none.
    """

    def __init__(self, path: Path, *, synchronous: str, timeout_seconds: float = 0.0) -> None:
        create(path)
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=timeout_seconds)
        self.connection.execute("PRAGMA wal_autocheckpoint = 4000")
        self.connection.execute(f"PRAGMA synchronous = {synchronous}")
        self.is_shared = timeout_seconds > 0
        self.next_id = 1

    def push(self, count: int) -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        if self.is_shared:
            self.next_id = execute("SELECT coalesce(max(id), 0) + 1 FROM pyqueue_job").fetchone()[0]
        rows = []
        for _ in range(count):
            rows += [self.next_id, "q", "send", msgspec.json.encode(PAYLOAD).decode()]
            self.next_id += 1
        values = ", ".join(["(?, ?, ?, ?)"] * count)
        execute(f"INSERT INTO pyqueue_job (id, queue, name, data) VALUES {values}", rows)
        execute("COMMIT")

    def pull(self, count: int) -> list[int]:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        rows = execute(
            "SELECT id, name, data, priority, attempt, max_attempts, timeout_ms, lease_token FROM pyqueue_job"
            " WHERE state = 0 AND queue = ? ORDER BY priority DESC, rank, id LIMIT ?",
            ("q", count),
        ).fetchall()
        ids = [row[0] for row in rows]
        marks = ", ".join("?" * len(ids))
        execute(
            "UPDATE pyqueue_job SET state = 3, worker_id = 'w', lease_token = lease_token + 1, lease_until = ?,"
            f" started_at = ?, updated_at = ? WHERE id IN ({marks})",
            [*_now_us(3), *ids],
        )
        execute("COMMIT")
        return ids

    def ack(self, ids: list[int]) -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(ids))
        execute(
            "UPDATE pyqueue_job SET state = 4, completed_at = ?, updated_at = ?, lease_until = NULL"
            f" WHERE state = 3 AND id IN ({marks})",
            [*_now_us(2), *ids],
        )
        execute("COMMIT")


class RawCrowd:
    """The limit of threads that push: each leaves a ticket, and one thread commits all there are by bare `sqlite3`.

    What is left is the INSERT, the flush, and two changes of the thread that may run Python for each push.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tickets: deque[tuple[threading.Lock, str]] = deque()
        self._work = threading.Event()
        self._is_over = False
        create(path)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def push(self) -> None:
        done = threading.Lock()
        done.acquire()
        self._tickets.append((done, msgspec.json.encode(PAYLOAD).decode()))
        if not self._work.is_set():
            self._work.set()
        done.acquire()

    def close(self) -> None:
        self._is_over = True
        self._work.set()
        self._thread.join()

    def _serve(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        next_id = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM pyqueue_job").fetchone()[0]
        while not self._is_over:
            self._work.wait()
            self._work.clear()
            while self._tickets:
                group = [self._tickets.popleft() for _ in range(len(self._tickets))]
                rows: list[object] = []
                for number, (_, data) in enumerate(group, start=next_id):
                    rows += [number, "q", "send", data]
                next_id += len(group)
                connection.execute("BEGIN IMMEDIATE")
                values = ", ".join(["(?, ?, ?, ?)"] * len(group))
                connection.execute(f"INSERT INTO pyqueue_job (id, queue, name, data) VALUES {values}", rows)
                connection.execute("COMMIT")
                for done, _ in group:
                    done.release()
        connection.close()


def _now_us(count: int) -> list[int]:
    """The time, as often as a statement binds it: any queue writes it down, and it makes the rows longer."""
    return [time.time_ns() // 1_000] * count
