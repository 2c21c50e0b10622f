"""PostgreSQL: produce, consume and both, by 1 to 8 processes, beside bare psycopg; latency, growth and bloat.

Each process has a handle of its own and does batches of 1 or of 50. Bare: a table of six columns with the partial
index of waiting jobs, one INSERT per batch, one UPDATE … SKIP LOCKED … RETURNING per claim and one UPDATE per ack,
prepared, each batch a transaction; no ids of its own, no log, no counts, no look at pauses, delays and limits. The
server is that of the tests: `PYQUEUE_TEST_POSTGRES_URL`, else the one on this machine.
"""

from __future__ import annotations

import multiprocessing
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from bench.measure import Row, percentile, ratio_row, take_turns
from pyqueue import PyQueue
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


STEP_SECONDS = 60.0
_AT_ONCE = 100_000


class Work(NamedTuple):
    """What one process does: so many batches, on this storage."""

    kind: str  # produce, consume, both
    url: str
    batches: int
    size: int


def run(*, quick: bool) -> Iterator[Row]:
    """The rows of the table."""
    rounds = 1 if quick else 3
    for processes in (1, 2) if quick else (1, 2, 4, 8):
        with _crew(processes) as crew, _schema() as url:
            for size in (1, 50):
                batches = (60 if quick else 400) if size == 1 else (12 if quick else 100)
                for kind in ("produce", "consume", "both"):
                    yield _beside_bare(crew, Work(kind, url, max(1, batches // processes), size), rounds)
    yield _latency(20 if quick else 150)
    yield _growth(50_000 if quick else 5_000_000, rounds)
    yield _bloat(5_000 if quick else 1_000_000)


def _beside_bare(crew: Crew, work: Work, rounds: int) -> Row:
    pairs = take_turns([lambda: crew.rate(_bare, work), lambda: crew.rate(_ours, work)], rounds)
    goal = 0.5 if work.size == 50 else None
    return ratio_row(f"{work.kind}, batches of {work.size}, {crew.number} processes", pairs, goal=goal)


class Crew:
    """Processes that do the same work at the same time."""

    def __init__(self, number: int) -> None:
        self.number = number
        context = multiprocessing.get_context("spawn")
        self._gate = context.Barrier(number + 1, timeout=STEP_SECONDS)
        self._orders = []
        self._processes = []
        for _ in range(number):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._gate), daemon=True)
            process.start()
            self._orders.append(ours)
            self._processes.append(process)

    def rate(self, does: Callable[[Work, Any], None], work: Work) -> float:
        """Jobs per second of all of them together.

        Raises:
            threading.BrokenBarrierError: one of them has failed, which its output tells.
        """
        if work.kind == "consume":
            _fill(work, self.number)
        for orders in self._orders:
            orders.send((does, work))
        self._gate.wait()
        started = time.perf_counter()
        self._gate.wait()
        return self.number * work.batches * work.size / (time.perf_counter() - started)

    def dismiss(self) -> None:
        """Ends them, whatever they do."""
        for process in self._processes:
            process.kill()
            process.join()


@contextmanager
def _crew(number: int) -> Iterator[Crew]:
    crew = Crew(number)
    try:
        yield crew
    finally:
        crew.dismiss()


def _serve(orders: Any, gate: Any) -> None:
    """What a process of a crew does until it is dismissed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Whoever has started it ends it.
    while True:
        does, work = orders.recv()
        try:
            does(work, gate)
        except BaseException:
            gate.abort()
            raise


def _fill(work: Work, processes: int) -> None:
    count = processes * work.batches * work.size
    with PyQueue(work.url) as queue, _connected(work.url) as connection:
        for start in range(0, count, 500):
            number = min(500, count - start)
            queue.push_many("q", [{"name": "n", "data": {"a": 1}}] * number)
            connection.execute(_BARE_PUSH, [['{"a": 1}'] * number])


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
    """From the call of push in one process to the start of the job in a worker of another."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with _schema() as url, PyQueue(url) as web:
        web.stats("q")
        process = context.Process(target=_work, args=(url, theirs), daemon=True)
        process.start()
        seconds = []
        try:
            for _ in range(pushes + 1):
                time.sleep(0.02)
                web.push("q", "n", time.perf_counter())
                if not ours.poll(STEP_SECONDS):
                    raise TimeoutError(f"no job was started within {STEP_SECONDS:.0f} s")
                seconds.append(ours.recv())
        finally:
            process.kill()
            process.join()
    milliseconds = [each * 1_000 for each in seconds[1:]]  # The first has waited for the worker's start.
    half, most = statistics.median(milliseconds), percentile(milliseconds, 0.99)
    return Row("push → start, p50 / p99", "", f"{half:.1f} / {most:.1f} ms", "", "p50 < 5 ms", half < 5)


def _work(url: str, pipe: Any) -> None:
    """A worker that tells how long each job has waited. `perf_counter` has one origin for all processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with PyQueue(url) as queue:
        queue.worker("q", lambda job: pipe.send(time.perf_counter() - job.data)).run()


def _growth(finished: int, rounds: int) -> Row:
    """Both, batches of 50, with none and with many finished jobs in the table: the second as a share of the first."""
    with _crew(1) as crew, _schema() as empty, _schema() as full:
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
        works = [Work("both", url, 40, 50) for url in (empty, full)]
        pairs = take_turns([lambda work=work: crew.rate(_ours, work) for work in works], 2 * rounds)  # type: ignore[misc]
    return ratio_row(f"both, with {finished:,} finished jobs against none", pairs, goal=0.9)


def _bloat(jobs: int) -> Row:
    """What a million jobs leave behind: dead rows, and bytes for each."""
    with _crew(2) as crew, _schema() as url, _connected(url) as connection:
        for start in range(0, jobs, _AT_ONCE):  # In parts, so that no gate waits for too long.
            crew.rate(_ours, Work("both", url, min(_AT_ONCE, jobs - start) // 1_000, 500))
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
