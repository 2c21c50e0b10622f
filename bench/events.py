"""The event log: what writing down what happened costs (raw: the same with `logs_events=False`)."""

from __future__ import annotations

from pathlib import Path

from bench.measure import Row, compare, folder, repeat
from bench.raw import PAYLOAD
from pyqueue import PyQueue

JOB = {"name": "send", "data": PAYLOAD}


def run(*, quick: bool) -> list[Row]:
    rounds, jobs = (5, 1_000) if quick else (11, 3_000)
    rows: list[Row] = []
    for durability in ("power", "process"):
        with folder() as path:
            rows += _compare(path, durability, rounds, jobs)
    return rows


def _compare(path: Path, durability: str, rounds: int, jobs: int) -> list[Row]:
    with (
        PyQueue(path / "off.db", durability=durability, logs_events=False) as off,
        PyQueue(path / "on.db", durability=durability) as on,
    ):
        return [
            compare(
                f"push, one at a time, {durability}",
                repeat(lambda: off.push("q", "send", PAYLOAD), jobs),
                repeat(lambda: on.push("q", "send", PAYLOAD), jobs),
                rounds=rounds,
                goal=0.90,
            ),
            compare(
                f"push_many of 50, {durability}",
                repeat(lambda: off.push_many("q", [JOB] * 50), jobs // 10, 50),
                repeat(lambda: on.push_many("q", [JOB] * 50), jobs // 10, 50),
                rounds=rounds,
                goal=0.90,
            ),
        ]
