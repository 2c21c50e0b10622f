"""pyqueue on threads or, with `BENCH_ASYNC`, on an event loop; synced to the disk, or as `BENCH_DURABILITY` says."""

from __future__ import annotations

import os
import time

from bench.peer import jobs
from pyqueue import JobContext, PyQueue

queue = PyQueue(os.environ["BENCH_FILE"], durability=os.environ.get("BENCH_DURABILITY", "power"))
_is_async = bool(os.environ.get("BENCH_ASYNC"))
_noop = queue.task(name="noop", queue="bench")(jobs.anoop if _is_async else jobs.noop)
_stamp = queue.task(name="stamp", queue="bench")(jobs.astamp if _is_async else jobs.stamp)


def push_noop() -> None:
    _noop.push()


def push_batch(count: int) -> None:
    """All or none, in calls of 500."""
    if count <= 500:
        _noop.map([()] * count)
        return
    import psycopg

    with psycopg.connect(os.environ["BENCH_FILE"]) as connection:
        bound = queue.on(connection)
        for start in range(0, count, 500):
            bound.push_many("bench", [{"name": "noop", "data": {}}] * min(500, count - start))


async def apush_noop() -> None:
    await _noop.apush()


@queue.task(queue="notes")
def note(context: JobContext) -> None:
    """Notes that it ran."""
    jobs.note(context.job.id)


def push_noops(count: int) -> None:
    for start in range(0, count, 500):
        _noop.map([()] * min(500, count - start))


def push_stamp(port: int) -> None:
    _stamp.push(port)


def install() -> None:
    """Makes the tables."""
    queue.stats("bench")


def unfinished() -> int:
    """Jobs that are not acknowledged."""
    counts = queue.stats("bench")
    return counts.active + counts.waiting


def settled() -> float:
    """The moment at which every job is acknowledged."""
    while unfinished():
        time.sleep(0.001)
    return time.perf_counter()
