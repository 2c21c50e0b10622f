"""Several processes on one file: each pulls 50 jobs, acknowledges them and pushes 50, over and over.

Beside it the same by bare `sqlite3` with its own busy handler, a file each, in turn. "share" is what the process
that got least did, as a part of what the one that got most did. Where bare `sqlite3` lets one process starve the
others, its rate and p99 are those of one process alone. "call": any of the three, waiting for the lock included.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from bench.measure import Row, folder, percentile, spread
from bench.raw import PAYLOAD, RawQueue
from pyqueue import PyQueue
from pyqueue.core.errors import StorageBusy

BATCH = 50
BACKLOG = 20_000
SHARE_GOAL = 0.5
BUSY_TIMEOUT_SECONDS = 30.0

_spawn = multiprocessing.get_context("spawn")


class Part(NamedTuple):
    """What one process has done: cycles, the seconds of each push and of its longest call, how often it gave up."""

    cycles: int
    pushes: list[float]
    longest: float
    busy: int


class Run(NamedTuple):
    """What all of them have done together."""

    rate: float
    share: float
    p99_ms: float
    longest_ms: float
    wal_mb: float
    busy: int


def run(*, quick: bool) -> list[Row]:
    rounds, seconds = (1, 2.0) if quick else (3, 4.0)
    rows: list[Row] = []
    for processes in (2, 4, 8):
        pairs = []
        for number in range(rounds):
            workers = (_raw_worker, _worker) if number % 2 else (_worker, _raw_worker)
            runs = {worker: _together(worker, processes, seconds) for worker in workers}
            pairs.append((runs[_raw_worker], runs[_worker]))
        rows += _rows(processes, pairs)
    return rows


def _rows(processes: int, pairs: Sequence[tuple[Run, Run]]) -> list[Row]:
    raws, ours = [raw for raw, _ in pairs], [our for _, our in pairs]
    busy = sum(run.busy for run in ours)
    what = f"{processes} processes: "
    return [
        Row(
            f"{what}jobs through all",
            f"{_median(raws, 'rate'):,.0f}/s",
            f"{_median(ours, 'rate'):,.0f}/s",
            spread([our.rate / raw.rate for raw, our in pairs]),
        ),
        Row(
            f"{what}least/most share",
            spread([run.share for run in raws]),
            spread([run.share for run in ours]),
            "",
            f"≥ {SHARE_GOAL}",
            _median(ours, "share") >= SHARE_GOAL,
        ),
        Row(f"{what}p99 of a push", f"{_median(raws, 'p99_ms'):.1f} ms", f"{_median(ours, 'p99_ms'):.1f} ms"),
        Row(
            f"{what}longest call",
            f"{max(run.longest_ms for run in raws):.0f} ms",
            f"{max(run.longest_ms for run in ours):.0f} ms",
        ),
        Row(
            f"{what}largest log (WAL)",
            f"{max(run.wal_mb for run in raws):.0f} MB",
            f"{max(run.wal_mb for run in ours):.0f} MB",
        ),
        Row(f"{what}gave up (busy)", str(sum(run.busy for run in raws)), str(busy), "", "0", busy == 0),
    ]


def _median(runs: Sequence[Run], field: str) -> float:
    return statistics.median(float(getattr(run, field)) for run in runs)


def _together(worker: Callable[..., None], processes: int, seconds: float) -> Run:
    with folder() as path:
        file = path / "shared.db"
        with PyQueue(file) as queue:
            for _ in range(BACKLOG // 500):
                queue.push_many("q", [{"name": "send", "data": PAYLOAD}] * 500)
        start = _spawn.Event()
        ends: list[tuple[Any, Connection]] = []
        for _ in range(processes):
            ours, theirs = _spawn.Pipe()
            process = _spawn.Process(target=worker, args=(file, start, seconds, theirs))
            process.start()
            ends.append((process, ours))
        for _, connection in ends:
            connection.recv()
        began = time.perf_counter()
        start.set()
        wal_bytes = _watch_log(file, began + seconds)
        parts: list[Part] = [connection.recv() for _, connection in ends]
        for process, _ in ends:
            process.join()
    pushes = [moment * 1_000 for part in parts for moment in part.pushes]
    cycles = [part.cycles for part in parts]
    return Run(
        sum(cycles) * BATCH / seconds,
        min(cycles) / max(cycles),
        percentile(pushes, 0.99),
        max(part.longest for part in parts) * 1_000,
        wal_bytes / 1_000_000,
        sum(part.busy for part in parts),
    )


def _watch_log(file: Path, until: float) -> int:
    largest = 0
    while time.perf_counter() < until:
        largest = max(largest, os.path.getsize(f"{file}-wal"))
        time.sleep(0.1)
    return largest


def _worker(file: Path, start: Any, seconds: float, result: Connection) -> None:
    with PyQueue(file) as queue:
        queue.stats("q")
        jobs = [{"name": "send", "data": PAYLOAD}] * BATCH

        def take() -> None:
            queue.ack_many(queue.pull("q", count=BATCH))

        _cycle(take, lambda: queue.push_many("q", jobs), start, seconds, result)


def _raw_worker(file: Path, start: Any, seconds: float, result: Connection) -> None:
    raw = RawQueue(file, synchronous="FULL", timeout_seconds=BUSY_TIMEOUT_SECONDS)
    _cycle(lambda: raw.ack(raw.pull(BATCH)), lambda: raw.push(BATCH), start, seconds, result)


def _cycle(
    take: Callable[[], object], push: Callable[[], object], start: Any, seconds: float, result: Connection
) -> None:
    part = Part(0, [], 0.0, 0)
    result.send("ready")
    start.wait()
    deadline = time.perf_counter() + seconds
    while (began := time.perf_counter()) < deadline:
        try:
            take()
            taken = time.perf_counter()
            push()
        except StorageBusy:
            part = part._replace(busy=part.busy + 1)
            continue
        part.pushes.append(time.perf_counter() - taken)
        part = part._replace(cycles=part.cycles + 1, longest=max(part.longest, taken - began, part.pushes[-1]))
    result.send(part)
