"""Limits: what they cost the queue that has them, and what a held key with a great backlog costs the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.measure import Row, compare
from pyqueue import PyQueue

OTHER_KEYS = 10


def rows(path: Path, *, quick: bool) -> list[Row]:
    rounds, jobs, flood = (3, 100, 10_000) if quick else (7, 500, 100_000)
    with (
        PyQueue(path / "plain.db", durability="process") as plain,
        PyQueue(path / "limited.db", durability="process") as limited,
        PyQueue(path / "keyed.db", durability="process") as keyed,
        PyQueue(path / "flooded.db", durability="process") as flooded,
    ):
        limited.set_limit("q", concurrency=1_000_000)
        for queue, held in ((keyed, OTHER_KEYS), (flooded, flood)):
            _hold_a_key(queue, held)
        return [
            compare(
                "pull + ack of 1 under a limit that holds nothing (raw: no limit)",
                _cycles(plain, jobs, keys=0),
                _cycles(limited, jobs, keys=0),
                rounds=rounds,
                goal=0.50,
            ),
            compare(
                f"pull + ack of 1 past {flood:,} jobs of a held key (raw: past {OTHER_KEYS})",
                _cycles(keyed, jobs, keys=OTHER_KEYS),
                _cycles(flooded, jobs, keys=OTHER_KEYS),
                rounds=rounds,
                goal=0.60,
            ),
        ]


def _hold_a_key(queue: PyQueue, jobs: int) -> None:
    """So many jobs of one key, one of which runs, and holds the others for as long as the bench takes."""
    queue.set_limit("q", key="*", concurrency=1)
    for start in range(0, jobs, 1_000):
        queue.push_many("q", [{"name": "n", "limit_key": "flood"}] * min(1_000, jobs - start))
    assert len(queue.pull("q", lease_ms=3_600_000)) == 1


def _cycles(queue: PyQueue, jobs: int, *, keys: int) -> Callable[[], int]:
    def run_all() -> int:
        new = [{"name": "n", "limit_key": f"k{number % keys}" if keys else None} for number in range(jobs)]
        queue.push_many("q", new)
        for _ in range(jobs):
            [job] = queue.pull("q")
            queue.ack(job)
        return jobs

    return run_all
