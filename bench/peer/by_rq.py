"""RQ on Redis."""

from __future__ import annotations

import os
from typing import Any

from redis import Redis
from rq import Queue

from bench.peer import jobs

_queue: Any = Queue("bench", connection=Redis.from_url(os.environ["BENCH_REDIS"]))


def push_noop() -> None:
    _queue.enqueue(jobs.noop, result_ttl=0)


def push_noops(count: int) -> None:
    for start in range(0, count, 500):
        data = [Queue.prepare_data(jobs.noop, result_ttl=0) for _ in range(min(500, count - start))]
        _queue.enqueue_many(data)


def push_stamp(port: int) -> None:
    _queue.enqueue(jobs.stamp, port, result_ttl=0)
