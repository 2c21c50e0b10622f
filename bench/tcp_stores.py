"""Stores for the bench's server, in place of a queue: one that does nothing, and bare `sqlite3`.

The first is the ceiling: what the server, its protocol and the client reach by themselves. The second is what any
store on SQLite could reach behind the same server: the statements of a push, a claim and an acknowledgement on one
table with one index, committed and flushed as pyqueue does, without events, limits, options, other queues' work,
leases that could be lost, or answers that could be "no".
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyqueue.core import ids
from pyqueue.core.engine.finish import Ack
from pyqueue.core.engine.pull import PullToPassOn
from pyqueue.core.engine.push import Push
from pyqueue.core.engine.push_each import PushEach
from pyqueue.core.engine.taken import Taken
from pyqueue.core.options import NewJob
from pyqueue.core.store.claim import ReadyRow

_SALT = 12_345
_NOW_US = 1_790_000_000_000_000
_LEASE_US = 30_000_000


class Nothing:
    """Keeps what was pushed in a list, and forgets what was pulled. Nothing is stored."""

    lease_ms = 30_000
    has_push_hooks = False
    max_flow_depth = 50

    def __init__(self) -> None:
        self._key = ids.first_key(_NOW_US)
        self._waiting: deque[tuple[int, str, str]] = deque()

    def ids_of(self, keys: Sequence[int]) -> list[str]:
        return ids.to_texts(keys, _SALT)

    def keys_or_ids(self, job_ids: Sequence[str]) -> list[int]:
        return ids.to_keys(job_ids, _SALT)

    def submit_all(self, operations: Sequence[Any], deliver: Callable[[list[Any]], None]) -> None:
        deliver([self._outcome(operation) for operation in operations])

    def _outcome(self, operation: Any) -> Any:
        if isinstance(operation, Push | PushEach):
            keys = range(self._key, self._key + len(operation.jobs))
            self._key = keys.stop
            self._push(operation.queue, keys, operation.jobs)
            return keys
        if isinstance(operation, PullToPassOn):
            [queue] = operation.queues
            rows = [_row(*job) for job in self._pull(queue, operation.count)]
            return Taken(_SALT, queue, rows, {}, _NOW_US, _NOW_US + _LEASE_US, None)
        assert isinstance(operation, Ack)
        self._ack([job if isinstance(job, int) else ids.to_key(job, _SALT) for job, _, _ in operation.items])
        return [None] * len(operation.items)

    def _push(self, queue: str, keys: range, jobs: Sequence[NewJob]) -> None:
        self._waiting.extend([(key, job.name, job.data_json) for key, job in zip(keys, jobs, strict=True)])

    def _pull(self, queue: str, count: int) -> Iterator[tuple[int, str, str]]:
        return (self._waiting.popleft() for _ in range(min(count, len(self._waiting))))

    def _ack(self, keys: Sequence[int]) -> None:
        pass


class Bare(Nothing):
    """Bare `sqlite3`, which keys that follow one another are good for. Pushes and acks are flushed, claims are not."""

    def __init__(self, path: str, durability: str) -> None:
        super().__init__()
        self._execute = sqlite3.connect(path, isolation_level=None).execute
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA wal_autocheckpoint = 4000")
        self._execute(
            "CREATE TABLE job (id INTEGER NOT NULL PRIMARY KEY, queue TEXT NOT NULL, name TEXT NOT NULL,"
            " state INTEGER NOT NULL DEFAULT 0, data TEXT NOT NULL, lease_until BIGINT)"
        )
        self._execute("CREATE INDEX ready ON job (queue) WHERE state = 0")
        self._flushed = "FULL" if durability == "power" else "NORMAL"

    def _push(self, queue: str, keys: range, jobs: Sequence[NewJob]) -> None:
        values = ", ".join(["(?, ?, ?, ?)"] * len(jobs))
        bound = [each for key, job in zip(keys, jobs, strict=True) for each in (key, queue, job.name, job.data_json)]
        self._begin(self._flushed)
        self._execute(f"INSERT INTO job (id, queue, name, data) VALUES {values}", bound)
        self._execute("COMMIT")

    def _pull(self, queue: str, count: int) -> Iterator[tuple[int, str, str]]:
        self._begin("NORMAL")
        jobs = self._execute(
            "SELECT id, name, data FROM job WHERE state = 0 AND queue = ? ORDER BY id LIMIT ?", (queue, count)
        ).fetchall()
        if jobs:
            bound = (_NOW_US + _LEASE_US, jobs[0][0], jobs[-1][0])
            self._execute("UPDATE job SET state = 1, lease_until = ? WHERE state = 0 AND id BETWEEN ? AND ?", bound)
        self._execute("COMMIT")
        return iter(jobs)

    def _ack(self, keys: Sequence[int]) -> None:
        self._begin(self._flushed)
        self._execute("UPDATE job SET state = 2 WHERE state = 1 AND id BETWEEN ? AND ?", (min(keys), max(keys)))
        self._execute("COMMIT")

    def _begin(self, synchronous: str) -> None:
        self._execute(f"PRAGMA synchronous = {synchronous}")
        self._execute("BEGIN IMMEDIATE")


def _row(key: int, name: str, data_json: str) -> ReadyRow:
    return key, name, 0, data_json, 0, 3, 2, 1_000, 0, 0, 0
