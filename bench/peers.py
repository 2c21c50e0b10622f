"""Peers: no-op jobs through one worker process, and from a push to its start, beside other queues.

Each on its own store, one worker process each, in turn within a round. pyqueue's three figures are those of a worker on
threads, one on asyncio (both with every push and ack synced to the disk), and threads with `durability="process"`;
Redis runs as it comes, which loses its last minutes in a crash. The ratios are pyqueue's to the peer's, with the spread
over the rounds: ahead is above 1 for rates and below 1 for times. "backlog": from the first to the last
of jobs that were there before; "one at a time" and "many": from the first push to the start of a job pushed last, by
single pushes or by the call for many, where there is one; pyqueue's clock runs on until all is acknowledged.
Memory is the resident set of the worker's processes. Celery: a solo pool, as fast as any for such jobs, without
mingle and gossip; Dramatiq and pyqueue: 8 at a time; huey: one thread, since more contend, and its own polling;
"RQ simple" runs jobs in the worker's process.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.measure import Row, folder, percentile, spread
from bench.peer.processes import answer, environment_of, memory_mb, process, python_of_peers, redis, tell

BUDGET_SECONDS = 280.0


class Peer(NamedTuple):
    """A queue and its worker. `jobs`: how many make a run of a second or two."""

    name: str
    module: str
    worker: tuple[str, ...]
    jobs: int
    environment: tuple[tuple[str, str], ...] = ()


_PYQUEUE_WORKER = (
    "-m",
    "pyqueue",
    "worker",
    "bench.peer.by_pyqueue:queue",
    "--concurrency",
    "8",
    "--log-level",
    "warning",
)
OURS = (
    Peer("pyqueue threads", "by_pyqueue", _PYQUEUE_WORKER, 6_000),
    Peer("pyqueue asyncio", "by_pyqueue", _PYQUEUE_WORKER, 6_000, (("BENCH_ASYNC", "1"),)),
    Peer("pyqueue process", "by_pyqueue", _PYQUEUE_WORKER, 6_000, (("BENCH_DURABILITY", "process"),)),
)
_CELERY_FLAGS = ("--pool=solo", "--loglevel=WARNING", "--without-mingle", "--without-gossip")
_RQ = ("-m", "rq.cli", "worker", "--logging_level", "WARNING")
THEIRS = (
    Peer(
        "Celery (Redis)", "by_celery", ("-m", "celery", "-A", "bench.peer.by_celery", "worker", *_CELERY_FLAGS), 1_500
    ),
    Peer("RQ (Redis)", "by_rq", (*_RQ, "bench"), 100),
    Peer("RQ simple (Redis)", "by_rq", (*_RQ, "-w", "rq.worker.SimpleWorker", "bench"), 500),
    Peer("Dramatiq (Redis)", "by_dramatiq", ("-m", "dramatiq", "bench.peer.by_dramatiq", "-p", "1", "-t", "8"), 2_000),
    Peer("huey (SQLite)", "by_huey", ("-m", "huey.bin.huey_consumer", "bench.peer.by_huey.huey", "-q"), 800),
)


@dataclass
class Figures:
    """What was measured of one queue, a value for each round; latencies of all rounds together."""

    backlog: list[float] = field(default_factory=list)
    single: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    start_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    trouble: str = ""


def run(*, quick: bool) -> list[Row]:
    rounds, pushes = (1, 30) if quick else (3, 50)
    if shutil.which("redis-server") is None:
        return [Row("peers", "", "not measured: no redis-server here")]
    python = python_of_peers("peers")
    deadline = time.monotonic() + BUDGET_SECONDS
    figures = {peer: Figures() for peer in (*OURS, *THEIRS)}
    for number in range(rounds):
        for peer in list(figures) if number % 2 else reversed(figures):
            if figures[peer].trouble:
                continue
            if time.monotonic() > deadline:
                figures[peer].trouble = "" if figures[peer].memory_mb else "no time left"
                continue
            try:
                _measure(peer, python, figures[peer], pushes)
            except (TimeoutError, subprocess.SubprocessError, ValueError, OSError) as error:
                figures[peer].trouble = str(error) or type(error).__name__
    return [row for peer in THEIRS for row in _rows(peer, figures)]


def _rows(peer: Peer, figures: dict[Peer, Figures]) -> Iterator[Row]:
    theirs, ours = figures[peer], [figures[one] for one in OURS]
    trouble = theirs.trouble or next((one.trouble for one in ours if one.trouble), "")
    if trouble:
        yield Row(peer.name, "", f"not measured: {trouble}")
        return
    for what, name in (("backlog", "backlog"), ("one at a time", "single"), ("many", "many")):
        values, our_values = getattr(theirs, name), [getattr(one, name) for one in ours]
        ratios = [[our / their for our, their in zip(one, values, strict=False)] for one in our_values]
        yield Row(
            f"{peer.name}: jobs, {what}",
            f"{statistics.median(values):,.0f}/s",
            " · ".join(f"{statistics.median(one):,.0f}" for one in our_values) + "/s",
            " · ".join(spread(one, 1) for one in ratios),
            "> 1",
            all(statistics.median(one) > 1 for one in ratios),
        )
    for share in (0.50, 0.99):
        yield _time_row(
            f"{peer.name}: push → start, p{share * 100:.0f} of {len(theirs.latency_ms)}",
            percentile(theirs.latency_ms, share),
            [percentile(one.latency_ms, share) for one in ours],
            "ms",
        )
    yield _time_row(
        f"{peer.name}: worker's start → first job",
        statistics.median(theirs.start_ms),
        [statistics.median(one.start_ms) for one in ours],
        "ms",
    )
    memory = statistics.median(theirs.memory_mb)
    yield _time_row(
        f"{peer.name}: memory of the idle worker", memory, [statistics.median(one.memory_mb) for one in ours], "MB"
    )


def _time_row(what: str, theirs: float, ours: Sequence[float], unit: str) -> Row:
    """The less the better."""
    digits = 2 if theirs < 100 and unit == "ms" else 0
    return Row(
        what,
        f"{theirs:,.{digits}f} {unit}",
        " · ".join(f"{one:,.{digits}f}" for one in ours) + f" {unit}",
        " · ".join(f"{one / theirs:.2f}" for one in ours),
        "< 1",
        all(one < theirs for one in ours),
    )


def _measure(peer: Peer, python: str, figures: Figures, pushes: int) -> None:
    """One round: start on a backlog, idle, single pushes, then two floods."""
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        address = stack.enter_context(redis(place)) if "Redis" in peer.name else ""
        environment = environment_of(
            **dict(peer.environment), BENCH_FILE=str(place / "bench.db"), BENCH_REDIS=address, RQ_REDIS_URL=address
        )
        driver = stack.enter_context(process([python, "-m", "bench.peer.driver", peer.module], environment))
        tell(driver, f"backlog {peer.jobs}")
        answer(driver)
        began = time.perf_counter()
        worker = stack.enter_context(process([python, *peer.worker], environment, keeps_output=False))
        first, last = answer(driver)
        time.sleep(1.0)
        figures.start_ms.append((first - began) * 1_000)
        figures.backlog.append(peer.jobs / (last - first))
        figures.memory_mb.append(memory_mb(worker.pid))
        for command in ("latency", "single", "many"):
            number = pushes if command == "latency" else peer.jobs // 2 if command == "single" else peer.jobs
            tell(driver, f"{command} {number}")
            taken = answer(driver)
            if command == "latency":
                figures.latency_ms += [seconds * 1_000 for seconds in taken]
            else:
                getattr(figures, command).append(number / taken)
