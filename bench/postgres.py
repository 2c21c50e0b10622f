"""PostgreSQL: produce, consume and both, by 1 to 8 processes, beside bare psycopg; latency, growth and bloat.

Each process has a handle of its own and does batches of 1 or of 50. Bare: a table of six columns with the partial
index of waiting jobs, one INSERT per batch, one UPDATE … SKIP LOCKED … RETURNING per claim and one UPDATE per ack,
prepared, each batch a transaction; no ids of its own, no log, no counts, no look at pauses, delays and limits. The
server is that of the tests: `PYQUEUE_TEST_POSTGRES_URL`, else the one on this machine.
"""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from bench.measure import Row, percentile, ratio_row, take_turns
from pyqueue import Job, PyQueue
from tests import servers

_BARE_TABLE = """
    CREATE TABLE bare (
        id bigserial PRIMARY KEY, queue text NOT NULL, name text NOT NULL, data text NOT NULL,
        state int NOT NULL DEFAULT 0, lease_until bigint
    )
"""
_BARE_INDEX = "CREATE INDEX bare_ready ON bare (queue, id) WHERE state = 0"
_BARE_PUSH = "INSERT INTO bare (queue, name, data) SELECT 'q', 'n', unnest(%s::text[])"
_BARE_CLAIM = """
    UPDATE bare SET state = 3, lease_until = 1 WHERE id = ANY(ARRAY(
        SELECT id FROM bare WHERE state = 0 AND queue = 'q' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    )) RETURNING id, name, data
"""
_BARE_ACK = "UPDATE bare SET state = 4 WHERE id = ANY(%s) AND state = 3"


class Work(NamedTuple):
    """What one process does: so many batches, on this storage."""

    kind: str  # produce, consume, both
    url: str
    batches: int
    size: int


def run(*, quick: bool) -> Iterator[Row]:
    """The rows of the table."""
    for size in (1, 50):
        batches = (60 if quick else 400) if size == 1 else (12 if quick else 100)
        for processes in (1, 2) if quick else (1, 2, 4, 8):
            for kind in ("produce", "consume", "both"):
                yield _beside_bare(kind, processes, batches, size, rounds=2 if quick else 5)
    yield _latency(20 if quick else 300)
    yield _growth(50_000 if quick else 5_000_000, rounds=2 if quick else 5)
    yield _bloat(5_000 if quick else 1_000_000)


def _beside_bare(kind: str, processes: int, batches: int, size: int, *, rounds: int) -> Row:
    each = max(1, batches // processes)
    with _schema() as url:
        pairs = take_turns(
            [
                lambda: _rate(_bare, Work(kind, url, each, size), processes),
                lambda: _rate(_ours, Work(kind, url, each, size), processes),
            ],
            rounds,
        )
    goal = 0.5 if size == 50 else None
    return ratio_row(f"{kind}, batches of {size}, {processes} processes", pairs, goal=goal)


def _rate(work_of: Callable[[Work, Any], None], work: Work, processes: int) -> float:
    if work.kind == "consume":
        _fill(work, processes)
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(processes + 1)
    workers = [context.Process(target=work_of, args=(work, gate)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    gate.wait()
    started = time.perf_counter()
    gate.wait()
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    assert all(worker.exitcode == 0 for worker in workers)
    return processes * work.batches * work.size / seconds


def _fill(work: Work, processes: int) -> None:
    count = processes * work.batches * work.size
    with PyQueue(work.url) as queue, _connected(work.url) as connection:
        for _ in range(0, count, 500):
            queue.push_many("q", [{"name": "n", "data": {"a": 1}}] * min(count, 500))
            connection.execute(_BARE_PUSH, [['{"a": 1}'] * min(count, 500)])


def _ours(work: Work, gate: Any) -> None:
    with PyQueue(work.url) as queue:
        queue.stats("q")
        rows = [{"name": "n", "data": {"a": 1}}] * work.size
        gate.wait()
        for _ in range(work.batches):
            if work.kind != "consume":
                queue.push_many("q", rows) if work.size > 1 else queue.push("q", "n", {"a": 1})
            if work.kind != "produce":
                queue.ack_many(queue.pull("q", count=work.size))
        gate.wait()


def _bare(work: Work, gate: Any) -> None:
    with _connected(work.url) as connection:
        data = ['{"a": 1}'] * work.size
        gate.wait()
        for _ in range(work.batches):
            if work.kind != "consume":
                connection.execute(_BARE_PUSH, [data])
            if work.kind != "produce":
                taken = connection.execute(_BARE_CLAIM, [work.size]).fetchall()
                connection.execute(_BARE_ACK, [[row[0] for row in taken]])
        gate.wait()


def _latency(pushes: int) -> Row:
    """From the call of push in one handle to the start of the job in a worker of another."""
    started: list[float] = []
    with _schema() as url, PyQueue(url) as web, PyQueue(url) as workplace:
        worker = workplace.worker("q", lambda job: started.append(time.perf_counter() - job.data))
        thread = threading.Thread(target=worker.run)
        thread.start()
        for number in range(pushes):
            time.sleep(0.02)
            web.push("q", "n", time.perf_counter())
            while len(started) <= number:
                time.sleep(0.0005)
        worker.stop()
        thread.join()
    milliseconds = [seconds * 1_000 for seconds in started]
    half, most = statistics.median(milliseconds), percentile(milliseconds, 0.99)
    return Row("push → start, p50 / p99", "", f"{half:.1f} / {most:.1f} ms", "", "p50 < 5 ms", half < 5)


def _growth(finished: int, *, rounds: int) -> Row:
    """Both, batches of 50, with none and with many finished jobs in the table: the second as a share of the first."""
    with _schema() as empty, _schema() as full:
        for url in (empty, full):
            with PyQueue(url) as queue:
                queue.stats("q")
        with _connected(full) as connection:
            connection.execute(
                "INSERT INTO pyqueue_job (id, queue, name, data, state, completed_at, updated_at)"
                " SELECT number, 'q', 'n', '{}', 4, 1, 1 FROM generate_series(1, %s) AS number",
                [finished],
            )
            connection.execute("VACUUM ANALYZE pyqueue_job")
        pairs = take_turns(
            [lambda url=url: _rate(_ours, Work("both", url, 40, 50), 1) for url in (empty, full)],  # type: ignore[misc]
            rounds,
        )
    return ratio_row(f"both, with {finished:,} finished jobs against none", pairs, goal=0.9)


def _bloat(jobs: int) -> Row:
    """What a million jobs leave behind: dead rows, and bytes for each."""
    with _schema() as url, PyQueue(url) as queue, _connected(url) as connection:
        for _ in range(0, jobs, 500):
            queue.push_many("q", [{"name": "n", "data": {"a": 1}}] * 500)
            taken: Sequence[Job] = queue.pull("q", count=500)
            queue.ack_many(taken)
        time.sleep(1.0)
        row = connection.execute(
            "SELECT n_dead_tup, pg_total_relation_size('pyqueue_job'), pg_relation_size('pyqueue_job_ready')"
            " FROM pg_stat_user_tables WHERE relid = 'pyqueue_job'::regclass"
        ).fetchone()
    assert row is not None
    dead, size, index = row
    return Row(
        f"after {jobs:,} jobs through the table",
        "",
        f"{dead:,} dead rows, {size / jobs:,.0f} bytes a job, index of waiting jobs {index / 1e6:.1f} MB",
    )


@contextmanager
def _schema() -> Iterator[str]:
    """A storage of its own, with the bare table beside ours."""
    with servers.new_schema() as url:
        address, schema = servers.split(url)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}".encode())
        with _connected(url) as connection:
            connection.execute(_BARE_TABLE)
            connection.execute(_BARE_INDEX)
        yield url


def _connected(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    address, schema = servers.split(url)
    connection = psycopg.connect(address, autocommit=True, options=f"-c search_path={schema}")
    connection.prepare_threshold = 1
    return connection
