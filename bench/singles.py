"""One caller: push, pull and ack, one at a time and in batches of 50."""

from __future__ import annotations

from pathlib import Path

from bench.measure import Row, compare, folder, repeat
from bench.raw import PAYLOAD, RawQueue
from pyqueue import PyQueue

SYNCHRONOUS = {"power": "FULL", "process": "NORMAL"}


def run(*, quick: bool) -> list[Row]:
    rounds, jobs = (3, 1_000) if quick else (7, 3_000)
    rows: list[Row] = []
    for durability in ("power", "process"):
        with folder() as path:
            rows += _pushes(path, durability, rounds, jobs)
            rows += _pulls(path, durability, rounds, jobs)
    return rows


def _pushes(path: Path, durability: str, rounds: int, jobs: int) -> list[Row]:
    raw = RawQueue(path / "raw.db", synchronous=SYNCHRONOUS[durability])
    queue = PyQueue(path / "ours.db", durability=durability)
    lone = 0.70 if durability == "power" else None
    rows = [
        compare(f"push, one at a time, {durability}", repeat(lambda: raw.push(1), jobs),
                repeat(lambda: queue.push("q", "send", PAYLOAD), jobs), rounds=rounds, goal=lone),
        compare(f"push_many of 50, {durability}", repeat(lambda: raw.push(50), jobs // 10, 50),
                repeat(lambda: queue.push_many("q", [{"name": "send", "data": PAYLOAD}] * 50), jobs // 10, 50),
                rounds=rounds, goal=0.50),
        compare(f"push_many of 10,000, {durability}", repeat(lambda: _push_in_pieces(raw), 1, 10_000),
                repeat(lambda: queue.push_many("q", [{"name": "send", "data": PAYLOAD}] * 10_000), 1, 10_000),
                rounds=rounds, goal=0.50),
    ]  # fmt: skip
    queue.close()
    return rows


def _push_in_pieces(raw: RawQueue) -> None:
    """SQLite takes 32,766 values in one statement: 10,000 jobs are two."""
    raw.push(5_000)
    raw.push(5_000)


def _pulls(path: Path, durability: str, rounds: int, jobs: int) -> list[Row]:
    return [
        _pull_of(path, durability, rounds, size=1, count=jobs // 2),
        _pull_of(path, durability, rounds, size=50, count=jobs // 10, goal=0.50),
    ]


def _pull_of(path: Path, durability: str, rounds: int, *, size: int, count: int, goal: float | None = None) -> Row:
    raw = RawQueue(path / f"raw{size}.db", synchronous=SYNCHRONOUS[durability])
    with PyQueue(path / f"ours{size}.db", durability=durability) as queue:
        for _ in range((rounds + 1) * size * count // 500 + 1):
            raw.push(500)
            queue.push_many("q", [{"name": "send", "data": PAYLOAD}] * 500)
        return compare(
            f"pull + ack of {size}, {durability}",
            repeat(lambda: _raw_cycle(raw, size), count, size),
            repeat(lambda: _cycle(queue, size), count, size),
            rounds=rounds,
            goal=goal,
        )


def _raw_cycle(raw: RawQueue, size: int) -> None:
    ids = raw.pull(size)
    assert len(ids) == size
    raw.ack(ids)


def _cycle(queue: PyQueue, size: int) -> None:
    jobs = queue.pull("q", count=size, worker_id="w")
    assert len(jobs) == size
    if size == 1:
        queue.ack(jobs[0])
    else:
        queue.ack_many(jobs)
