"""Many callers: durable single pushes by threads, and by tasks of an event loop.

The base is one caller of the same kind in the same round: what meets should share its flushes.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.measure import Row, folder, percentile, spread, take_turns
from bench.raw import PAYLOAD, RawCrowd
from pyqueue import PyQueue

CALLERS = (1, 8, 64, 256)
GOAL_AT_64 = 10.0


class Run(NamedTuple):
    """Pushes per second of all callers together, and the 99th percentile of how long one push took."""

    rate: float
    p99_ms: float


def run(*, quick: bool) -> list[Row]:
    rounds, seconds = (3, 0.4) if quick else (7, 1.0)
    rows = []
    for kind, push_all in (("threads", _threads), ("tasks", _tasks)):
        with folder() as path:
            rows += _compare(kind, partial(push_all, path, seconds), rounds)
    with folder() as path:
        rows.append(_beside_limit(path, seconds, rounds))
    return rows


def _beside_limit(path: Path, seconds: float, rounds: int) -> Row:
    """64 threads beside as many that hand over to one thread with bare `sqlite3`: what Python's lock leaves."""
    runs = take_turns(
        [lambda: _bare_threads(path, seconds, 64).rate, lambda: _threads(path, seconds, 64).rate],
        rounds,
    )
    bare, ours = zip(*runs, strict=True)
    return Row(
        "64 threads, power, beside one thread with bare sqlite3",
        f"{statistics.median(bare):,.0f}/s",
        f"{statistics.median(ours):,.0f}/s",
        spread([mine / limit for limit, mine in runs], 2),
    )


def _compare(kind: str, push_all: Callable[[int], Run], rounds: int) -> list[Row]:
    for callers in CALLERS:
        push_all(callers)
    runs: dict[int, list[Run]] = {callers: [] for callers in CALLERS}
    for number in range(rounds):
        for callers in CALLERS if number % 2 else reversed(CALLERS):
            runs[callers].append(push_all(callers))
    return [_row(kind, callers, runs[1], runs[callers]) for callers in CALLERS]


def _row(kind: str, callers: int, alone: list[Run], together: list[Run]) -> Row:
    ratios = [many.rate / one.rate for one, many in zip(alone, together, strict=True)]
    is_goal = callers == 64
    return Row(
        f"{callers} {kind if callers > 1 else kind.rstrip('s')}, power",
        f"{statistics.median(run.rate for run in alone):,.0f}/s (1)",
        f"{statistics.median(run.rate for run in together):,.0f}/s, "
        f"p99 {statistics.median(run.p99_ms for run in together):.1f} ms",
        spread(ratios, 1),
        f"≥ {GOAL_AT_64:.0f}" if is_goal else "",
        statistics.median(ratios) >= GOAL_AT_64 if is_goal else None,
    )


def _threads(path: Path, seconds: float, callers: int) -> Run:
    with PyQueue(path / "threads.db") as queue:
        return _push_in_threads(lambda: queue.push("q", "send", PAYLOAD), seconds, callers)


def _bare_threads(path: Path, seconds: float, callers: int) -> Run:
    crowd = RawCrowd(path / "bare.db")
    try:
        return _push_in_threads(crowd.push, seconds, callers)
    finally:
        crowd.close()


def _push_in_threads(push: Callable[[], object], seconds: float, callers: int) -> Run:
    times: list[float] = []
    start = threading.Barrier(callers + 1)
    deadline = 0.0

    def push_on() -> None:
        own = []
        start.wait()
        while (began := time.perf_counter()) < deadline:
            push()
            own.append(time.perf_counter() - began)
        times.extend(own)

    push()
    threads = [threading.Thread(target=push_on) for _ in range(callers)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    deadline = began + seconds
    start.wait()
    for thread in threads:
        thread.join()
    return Run(len(times) / (time.perf_counter() - began), percentile(times, 0.99) * 1_000)


def _tasks(path: Path, seconds: float, callers: int) -> Run:
    return asyncio.run(_push_in_tasks(path, seconds, callers))


async def _push_in_tasks(path: Path, seconds: float, callers: int) -> Run:
    times: list[float] = []

    async def push_on() -> None:
        while (began := time.perf_counter()) < deadline:
            await queue.apush("q", "send", PAYLOAD)
            times.append(time.perf_counter() - began)

    async with PyQueue(path / "tasks.db") as queue:
        await queue.apush("q", "send", PAYLOAD)
        began = time.perf_counter()
        deadline = began + seconds
        await asyncio.gather(*(push_on() for _ in range(callers)))
        return Run(len(times) / (time.perf_counter() - began), percentile(times, 0.99) * 1_000)
