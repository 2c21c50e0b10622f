"""Worker: no-op jobs through one process, its start, and what it costs idle

Raw is a bare loop: `pull(count=200)` and `ack_many` in one thread, without a worker around it: what leases, heartbeats,
order of outcomes and the call of a handler cost on top is the ratio. The jobs are there before. "with a line for each
job": logged at INFO as text, to a file that is thrown away. The command is measured as a process: from its start to the
end of a first job that waits (bytecode kept, drivers refused as in "Starting"), then its processor time and resident
set while it waits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.measure import Row, folder, rate, ratio_row
from bench.start import REFUSE_DRIVERS, with_bytecode
from pyqueue import Job, PyQueue
from pyqueue.core import logs

_CLAIM = 200
_PUSHED_AT_ONCE = 500
_MODULE = """
from pyqueue import PyQueue
queue = PyQueue("jobs.db")
@queue.task(queue="q")
def noop(): ...
"""
_COMMAND = f"""{REFUSE_DRIVERS}
from pyqueue.cli.main import main
main(["worker", "noops:queue", "--log-level", "warning"])
"""
RATE_GOAL, START_GOAL_SECONDS, MEMORY_GOAL_MB, IDLE_GOAL_PERCENT = 5_000, 0.35, 45.0, 0.5


def handle(job: Job) -> None: ...


async def ahandle(job: Job) -> None:
    await asyncio.sleep(0)


def run(*, quick: bool) -> list[Row]:
    jobs, rounds = (4_000, 3) if quick else (20_000, 7)
    rows = [
        _rate_row("threads, 1 at a time", jobs, rounds, handle, concurrency=1),
        _rate_row("threads, 8 at a time", jobs, rounds, handle, concurrency=8),
        _rate_row("asyncio, 100 at a time", jobs, rounds, ahandle, concurrency=100),
        _rate_row("2 child processes", jobs // 2, rounds, handle, mode="process", concurrency=2),
    ]
    with folder() as path:
        sink = logging.StreamHandler((path / "log").open("w"))
        sink.setFormatter(logs.TextFormatter())
        logger = logging.getLogger("pyqueue")
        logger.addHandler(sink)
        logger.setLevel(logging.INFO)
        rows.append(_rate_row("threads, 8 at a time, with a line for each job", jobs, rounds, handle, concurrency=8))
        logger.removeHandler(sink)
        logger.setLevel(logging.WARNING)
    return rows + _command_rows(rounds, idle_seconds=3 if quick else 10)


def _rate_row(what: str, jobs: int, rounds: int, handler: Callable[[Job], Any], **options: Any) -> Row:
    pairs = [_pair(jobs, handler, options) for _ in range(rounds)]
    row = ratio_row(what, pairs)
    if "mode" in options:  # What a pipe costs; the goals are for the others.
        return row
    median = statistics.median(ours for _, ours in pairs)
    return replace(row, goal=f"≥ {RATE_GOAL:,}/s", is_met=median >= RATE_GOAL)


def _pair(jobs: int, handler: Callable[[Job], Any], options: dict[str, Any]) -> tuple[float, float]:
    """The rates of the bare loop and of a worker, on one database."""
    with folder() as path, PyQueue(path / "jobs.db") as queue:
        _fill(queue, jobs)
        bare = rate(lambda: _bare_loop(queue))
        _fill(queue, jobs)
        return bare, rate(lambda: queue.run_worker("q", handler, burst=True, **options).completed)


def _fill(queue: PyQueue, jobs: int) -> None:
    for _ in range(jobs // _PUSHED_AT_ONCE):
        queue.push_many("q", [{"name": "noop"}] * _PUSHED_AT_ONCE)


def _bare_loop(queue: PyQueue) -> int:
    done = 0
    while jobs := queue.pull("q", count=_CLAIM):
        done += len(queue.ack_many(jobs))
    return done


def _command_rows(rounds: int, idle_seconds: float) -> list[Row]:
    if not Path("/proc/self/stat").exists():
        return [Row("the command", "", "not measured: no /proc here")]
    with folder() as path:
        (path / "noops.py").write_text(_MODULE)
        starts, (percent, held_mb) = [], (0.0, 0.0)
        for number in range(rounds):
            with PyQueue(path / "jobs.db") as queue:
                job_id = queue.push("q", "noop", {})
                began = time.perf_counter()
                process = subprocess.Popen(
                    [sys.executable, "-c", _COMMAND], cwd=path, env=with_bytecode(), stderr=subprocess.DEVNULL
                )
                queue.wait_for(job_id, 20)
                starts.append(time.perf_counter() - began)
                if number == rounds - 1:
                    percent, held_mb = _idle(process.pid, idle_seconds)
                process.terminate()
                process.wait()
    start = statistics.median(starts)
    return [
        Row("the command, to the end of a first job", "", f"{start:.2f} s", goal=f"< {START_GOAL_SECONDS} s",
            is_met=start < START_GOAL_SECONDS),
        Row("the command, idle: processor", "", f"{percent:.2f} %", goal=f"< {IDLE_GOAL_PERCENT} %",
            is_met=percent < IDLE_GOAL_PERCENT),
        Row("the command, idle: memory", "", f"{held_mb:.1f} MB", goal=f"< {MEMORY_GOAL_MB:.0f} MB",
            is_met=held_mb < MEMORY_GOAL_MB),
    ]  # fmt: skip


def _idle(pid: int, seconds: float) -> tuple[float, float]:
    """Share of a processor in percent, and resident megabytes, once the pull has come to rest."""
    time.sleep(1.0)
    before = _processor_seconds(pid)
    time.sleep(seconds)
    percent = (_processor_seconds(pid) - before) / seconds * 100
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return percent, pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
