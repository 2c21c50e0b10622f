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

from bench.measure import Row, folder, percentile, spread
from bench.raw import PAYLOAD
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
    return rows


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
    times: list[float] = []
    start = threading.Barrier(callers + 1)
    deadline = 0.0

    def push_on() -> None:
        own = []
        start.wait()
        while (began := time.perf_counter()) < deadline:
            queue.push("q", "send", PAYLOAD)
            own.append(time.perf_counter() - began)
        times.extend(own)

    with PyQueue(path / "threads.db") as queue:
        queue.push("q", "send", PAYLOAD)
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
