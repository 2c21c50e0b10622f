"""Orchestration: schedules and limits.

A housekeeping pass with 10,000 schedules in the table beside the same pass without those that are not due: they
should cost nothing. Ten fire in each pass, in one transaction with their jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench import limits
from bench.measure import Row, compare, folder
from pyqueue import PyQueue
from pyqueue.testing import FakeClock

DUE = 10


def run(*, quick: bool) -> list[Row]:
    with folder() as path:
        return [*_schedules(path, quick=quick), *limits.rows(path, quick=quick)]


def _schedules(path: Path, *, quick: bool) -> list[Row]:
    schedules, rounds, passes = (1_000, 5, 50) if quick else (10_000, 11, 200)
    clocks = FakeClock(), FakeClock()
    with (
        PyQueue(path / "few.db", clock=clocks[0]) as few,
        PyQueue(path / "many.db", clock=clocks[1]) as many,
    ):
        for queue in (few, many):
            for number in range(DUE):
                queue.create_schedule(f"due-{number}", "q", "tick", cron_expr="* * * * *")
        for number in range(schedules - DUE):
            many.create_schedule(f"idle-{number}", "q", "tick", cron_expr="0 0 1 7 *")
        return [
            compare(
                f"housekeeping passes, {DUE} of {schedules:,} schedules due (raw: only those {DUE})",
                _passes(few, clocks[0], passes),
                _passes(many, clocks[1], passes),
                rounds=rounds,
                goal=0.90,
            ),
            compare(
                f"housekeeping passes, none of {schedules:,} schedules due (raw: of {DUE})",
                _idle_passes(few, passes * 10),
                _idle_passes(many, passes * 10),
                rounds=rounds,
                goal=0.90,
            ),
        ]


def _passes(queue: PyQueue, clock: FakeClock, passes: int) -> Callable[[], int]:
    def run_all() -> int:
        for _ in range(passes):
            clock.advance(seconds=60)
            fired = queue.housekeep().fired
            assert fired == DUE, fired
        return passes

    return run_all


def _idle_passes(queue: PyQueue, passes: int) -> Callable[[], int]:
    def run_all() -> int:
        for _ in range(passes):
            queue.housekeep()
        return passes

    return run_all
