"""Jobs are pushed, worked by a real worker process, killed with kill -9 half-way, recovered and finished.

Run by `make demo`. Everything is real: the file, the processes, the signal. Ends with status 0 only
if no job was lost and each was completed exactly once.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from pyqueue import PyQueue, QueueCounts

JOBS = 300
LEASE_MS = 1_500
CONCURRENCY = 4
console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="pyqueue-demo-") as folder:
        storage = Path(folder, "jobs.db")
        runs = Path(folder, "runs.txt")
        with PyQueue(storage) as queue:
            push(queue, storage)
            first = start_worker(storage, runs)
            try:
                follow(queue, until=lambda counts: counts.completed >= JOBS // 2)
                kill(first)
                look_at_the_wreck(queue, storage)
                second = start_worker(storage, runs)
                try:
                    follow(queue, until=lambda counts: counts.completed == JOBS)
                finally:
                    stop(second)
            finally:
                first.kill()
                first.wait()
            return 0 if is_proved(queue, runs) else 1


def push(queue: PyQueue, storage: Path) -> None:
    step(f"Pushing {JOBS} jobs into {storage.name}, each on disk before push() returns")
    started = time.perf_counter()
    for order in range(JOBS):
        queue.push("receipts", "send-receipt", {"order": order})
    seconds = time.perf_counter() - started
    say(f"{JOBS} jobs in {seconds * 1_000:.0f} ms: {JOBS / seconds:,.0f} durable pushes a second, one at a time")


def start_worker(storage: Path, runs: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pyqueue", "worker", "demo.handlers:send_receipt", "--queues", "receipts"]
    command += ["--concurrency", str(CONCURRENCY), "--lease-ms", str(LEASE_MS), "--log-level", "warning"]
    process = subprocess.Popen(
        [*command, "--storage", str(storage)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYQUEUE_DEMO_RUNS": str(runs)},
        stderr=subprocess.DEVNULL,
    )
    step(f"Starting a worker: process {process.pid}, {CONCURRENCY} jobs at a time, leases of {LEASE_MS} ms")
    return process


def follow(queue: PyQueue, *, until: Callable[[QueueCounts], bool]) -> None:
    """Prints the counts whenever a tenth of the jobs has been completed, or something stands still for a while."""
    shown, shown_at = -1, time.monotonic()
    deadline = shown_at + 60
    while True:
        counts = queue.stats("receipts")
        is_done = until(counts)
        tenth = counts.completed * 10 // JOBS
        if tenth != shown or is_done or time.monotonic() - shown_at > 1.0:
            bar = "█" * (counts.completed * 30 // JOBS)
            say(
                f"{bar:<30} {counts.completed:>3} completed  {counts.active:>3} active  "
                f"{counts.waiting + counts.delayed:>3} waiting"
            )
            shown, shown_at = tenth, time.monotonic()
        if is_done:
            return
        if time.monotonic() > deadline:
            raise SystemExit("the jobs did not finish within 60 s")
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    step(f"kill -9 {process.pid}, in the middle of its jobs")
    process.send_signal(signal.SIGKILL)
    process.wait()


def look_at_the_wreck(queue: PyQueue, storage: Path) -> None:
    counts = queue.stats("receipts")
    connection = sqlite3.connect(storage)
    integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    say(
        f"{counts.completed} completed and kept, {counts.active} left active under the dead worker's leases, "
        f"{counts.waiting} waiting; none lost: {counts.total} of {JOBS}; integrity check: {integrity}"
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    step("Stopping the worker with SIGTERM: it finishes what it runs")
    process.terminate()
    say(f"exit status {process.wait(timeout=30)}")


def is_proved(queue: PyQueue, runs: Path) -> bool:
    step("What happened")
    run_orders = Counter(int(line.split()[0]) for line in runs.read_text().splitlines())
    completed = queue.stats("receipts").completed
    again = sum(count > 1 for count in run_orders.values())
    recovered = [job for job in queue.list_jobs(queue="receipts", limit=1_000).jobs if queue.attempts(job)]
    say(f"{completed} of {JOBS} jobs completed; every one of them ran: {len(run_orders) == JOBS}")
    say(f"{len(recovered)} were taken back from the dead worker and ran elsewhere, with the reason on record:")
    if recovered:
        say(f"    {queue.attempts(recovered[0])[0].error}")
    say(f"{again} of these had done their work just before the kill, and did it again: at least once, as promised")
    return completed == JOBS and len(run_orders) == JOBS


def step(text: str) -> None:
    console.print(f"\n[bold]» {text}[/bold]")


def say(text: str) -> None:
    console.print(f"  {text}", markup=False)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
