"""Waking an idle worker: from the push in one process to the start of the handler in another, and what idling costs.

Beside it a bare datagram that another process sends back over the loopback interface. Between two measurements
everyone sleeps for a random 5–60 ms, as an idle worker does. The push is durable; its commit is in the time.
"""

from __future__ import annotations

import multiprocessing
import random
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.measure import Row, folder, percentile
from bench.raw import PAYLOAD
from pyqueue import Job, PyQueue

P50_GOAL_MS = 2.0
P99_GOAL_MS = 10.0
IDLE_GOAL_PERCENT = 0.5
DEADLINE_SECONDS = 10.0

_spawn = multiprocessing.get_context("spawn")


def run(*, quick: bool) -> list[Row]:
    count, seconds = (60, 3.0) if quick else (400, 10.0)
    rows: list[Row] = []
    for what, target in (
        ("push → handler of a worker process", _work),
        ("push → pull(wait_ms) in a process", _pull_on),
        ("push → handler of an async worker process", _work_async),
    ):
        with folder() as path, _child(_echo) as echo, _child(target, path / "jobs.db") as waiter:
            rows += _latencies(what, path / "jobs.db", echo, waiter, count)
    with folder() as path:
        rows += _in_one_process(path / "jobs.db", count)
    for what, target in (("a worker process", _work), ("a process in pull(wait_ms)", _pull_on)):
        with folder() as path, _child(target, path / "jobs.db") as waiter:
            rows.append(_idle(what, waiter, seconds))
    return rows


def _latencies(what: str, file: Path, echo: Connection, waiter: Connection, count: int) -> list[Row]:
    port = echo.recv()
    raw_ms, our_ms = [], []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, PyQueue(file) as queue:
        datagrams.settimeout(DEADLINE_SECONDS)
        queue.push("q", "send", PAYLOAD)  # Opens the file, and waits until the other process has begun.
        waiter.recv()
        for _ in range(count):
            _pause()
            began = time.perf_counter()
            datagrams.sendto(b"!", ("127.0.0.1", port))
            datagrams.recv(1)
            raw_ms.append((time.perf_counter() - began) * 1_000)
            _pause()
            began = time.perf_counter()
            queue.push("q", "send", PAYLOAD)
            if not waiter.poll(DEADLINE_SECONDS):
                raise RuntimeError(f"nobody took the job within {DEADLINE_SECONDS} s")
            our_ms.append((waiter.recv() - began) * 1_000)
    return [_row(what, raw_ms, our_ms, 0.50, P50_GOAL_MS), _row(what, raw_ms, our_ms, 0.99, P99_GOAL_MS)]


def _in_one_process(file: Path, count: int) -> list[Row]:
    starts: list[float] = []
    started = threading.Event()

    def handle(_: Job) -> None:
        starts.append(time.perf_counter())
        started.set()

    raw_ms, our_ms = [], []
    with PyQueue(file) as queue:
        worker = queue.worker("q", handle)
        thread = threading.Thread(target=worker.run)
        thread.start()
        for _ in range(count):
            raw_ms.append(_thread_ms())
            _pause()
            started.clear()
            began = time.perf_counter()
            queue.push("q", "send", PAYLOAD)
            if not started.wait(DEADLINE_SECONDS):
                raise RuntimeError(f"nobody took the job within {DEADLINE_SECONDS} s")
            our_ms.append((starts[-1] - began) * 1_000)
        worker.stop()
        thread.join()
    what = "push → handler in one process (raw: a thread woken)"
    return [_row(what, raw_ms, our_ms, share, goal) for share, goal in ((0.50, P50_GOAL_MS), (0.99, P99_GOAL_MS))]


def _thread_ms() -> float:
    """How long a sleeping thread takes to wake up."""
    event, woken = threading.Event(), []

    def wait() -> None:
        event.wait()
        woken.append(time.perf_counter())

    thread = threading.Thread(target=wait)
    thread.start()
    _pause()
    began = time.perf_counter()
    event.set()
    thread.join()
    return (woken[0] - began) * 1_000


def _row(what: str, raw_ms: list[float], our_ms: list[float], share: float, goal_ms: float) -> Row:
    raw, ours = percentile(raw_ms, share), percentile(our_ms, share)
    return Row(
        f"{what}, p{share * 100:.0f} of {len(our_ms)}",
        f"{raw:.2f} ms",
        f"{ours:.2f} ms",
        f"{ours / raw:.1f} ({min(our_ms):.2f}–{max(our_ms):.2f} ms)",
        f"< {goal_ms:.0f} ms",
        ours < goal_ms,
    )


def _idle(what: str, waiter: Connection, seconds: float) -> Row:
    """Five stretches, since a stretch now and then holds some rare work."""
    time.sleep(1.0)
    percents = []
    for _ in range(5):
        began, used = time.perf_counter(), _cpu_seconds(waiter)
        time.sleep(seconds / 5)
        percents.append(100 * (_cpu_seconds(waiter) - used) / (time.perf_counter() - began))
    mean = statistics.mean(percents)
    return Row(
        f"CPU of {what}, idle for {seconds:.0f} s",
        "",
        f"{mean:.2f} % of a core ({min(percents):.2f}–{max(percents):.2f})",
        "",
        f"< {IDLE_GOAL_PERCENT} %",
        mean < IDLE_GOAL_PERCENT,
    )


def _cpu_seconds(waiter: Connection) -> float:
    waiter.send("cpu")
    return float(waiter.recv())


def _pause() -> None:
    time.sleep(random.uniform(0.005, 0.06))


@contextmanager
def _child(target: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """A process of its own; it ends when told so, or killed."""
    ours, theirs = _spawn.Pipe()
    process = _spawn.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def _echo(connection: Connection) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        connection.send(datagrams.getsockname()[1])
        while True:
            content, sender = datagrams.recvfrom(1)
            datagrams.sendto(content, sender)


def _work(connection: Connection, file: Path) -> None:
    _answer_in_background(connection)
    PyQueue(file).run_worker("q", lambda _: connection.send(time.perf_counter()))


def _work_async(connection: Connection, file: Path) -> None:
    async def handle(_: Job) -> None:
        connection.send(time.perf_counter())

    PyQueue(file).run_worker("q", handle)


def _pull_on(connection: Connection, file: Path) -> None:
    _answer_in_background(connection)
    with PyQueue(file) as queue:
        while True:
            for job in queue.pull("q", wait_ms=60_000):
                connection.send(time.perf_counter())
                queue.ack(job)


def _answer_in_background(connection: Connection) -> None:
    """A thread that says how much processor time this process has used, whenever asked."""

    def answer() -> None:
        while connection.recv():
            connection.send(time.process_time())

    threading.Thread(target=answer, daemon=True).start()
