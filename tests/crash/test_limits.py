"""Limits and unique keys across processes: measured over time, and when a holder is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from pyqueue import PyQueue
from tests.crash.faults import assert_sound
from tests.crash.nursery import Program
from tests.waiting import eventually

WORKERS = 4


class Ran(NamedTuple):
    """One run: the key of its job, when it was claimed (seconds), and when it ran."""

    key: str
    claimed: float
    begun: float
    ended: float


def runs_of(programs: list[Program]) -> list[Ran]:
    words = [line.split() for program in programs for line in program.lines() if line.startswith("ran")]
    return [Ran(key, int(claimed) / 1e6, float(begun), float(ended)) for _, key, claimed, begun, ended in words]


@contextmanager
def working(path: Path, role: str = "work_under_limits", number: int = WORKERS) -> Iterator[list[Program]]:
    """So many processes at work, killed at the end."""
    programs = [Program(role, path, "process") for _ in range(number)]
    try:
        for program in programs:
            program.wait_for_a_line()
        yield programs
    finally:
        for program in programs:
            program.kill()


def assert_file_is_sound(path: Path) -> None:
    if "://" not in str(path):  # A server looks after its own pages.
        assert_sound(path)


def push(queue: PyQueue, number: int, seconds: float, **options: str) -> None:
    queue.push_many("limited", [{"name": "n", "data": seconds, **options}] * number)


def until_all_ran(programs: list[Program], number: int, seconds: float) -> list[Ran]:
    eventually(lambda: len(runs_of(programs)) >= number, seconds=seconds, what=f"the end of {number} runs")
    return runs_of(programs)


def at_once(runs: list[Ran]) -> int:
    """How many ran at the same time, at most."""
    changes = sorted([(run.begun, 1) for run in runs] + [(run.ended, -1) for run in runs])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("number", [60, pytest.param(3_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_no_more_than_three_run_at_once_in_four_processes(path: Path, number: int) -> None:
    with PyQueue(path, durability="process") as queue:
        queue.set_limit("limited", concurrency=3)
        with working(path) as programs:
            push(queue, number, 0.03)
            runs = until_all_ran(programs, number, seconds=30 + number * 0.1)

    assert at_once(runs) == 3, "as many as may, and no more"


@pytest.mark.parametrize("number", [120, pytest.param(3_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_no_more_than_fifty_a_second_begin_in_four_processes(path: Path, number: int) -> None:
    rate, burst = 50, 5
    with PyQueue(path, durability="process") as queue:
        queue.set_limit("limited", rate=rate, burst=burst)
        with working(path) as programs:
            push(queue, number, 0)
            runs = until_all_ran(programs, number, seconds=30 + number * 0.1)

    claims = sorted(run.claimed for run in runs)
    for first in range(number):
        for last in range(first, number, 7):
            # The moment of a transaction is taken before its turn to write, so two may stand in the other order.
            assert last - first + 1 <= burst + rate * (claims[last] - claims[first]) + 1
    assert claims[-1] - claims[0] < 3 * number / rate + 5, "the rate is used"


def test_a_flooded_key_delays_another_by_no_more_than_its_share(path: Path) -> None:
    with PyQueue(path, durability="process") as queue:
        queue.set_limit("limited", concurrency=2)
        queue.set_limit("limited", key="*", concurrency=2)
        push(queue, 3_000, 0.01, limit_key="flood")
        with working(path, number=2) as programs:
            until_all_ran(programs, 20, seconds=30)
            before = len(runs_of(programs))
            push(queue, 10, 0.01, limit_key="late")
            eventually(lambda: sum(run.key == "late" for run in runs_of(programs)) == 10, seconds=30, what="late jobs")
            between = len(runs_of(programs)) - before

    assert between < 60, "turns, not a place behind the flood"


def test_a_slot_is_free_when_the_lease_of_a_killed_holder_ends(path: Path) -> None:
    with PyQueue(path, durability="process") as queue:
        queue.start_housekeeping()
        queue.set_limit("limited", key="*", concurrency=1)
        push(queue, 2, 0, limit_key="a")
        holder = Program("hold_a_slot", path, "process")
        holder.wait_for_a_line()
        holder.kill()
        assert queue.pull("limited") == []
        begun = time.monotonic()

        [job] = queue.pull("limited", wait_ms=20_000)

        assert time.monotonic() - begun < 10
        assert queue.pull("limited") == []
        queue.ack(job)
    assert_file_is_sound(path)


@pytest.mark.parametrize("seconds", [2, pytest.param(120, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_processes_that_push_the_same_keys_never_make_two_of_one(path: Path, seconds: float) -> None:
    outcomes: Callable[[], set[str]]
    with PyQueue(path, durability="process") as queue, working(path, "push_unique") as programs:
        outcomes = lambda: {line.split()[0] for program in programs for line in program.lines()}  # noqa: E731
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or outcomes() < {"pushed", "replaced", "ignored", "rejected"}:
            live = [job.unique_key for job in queue.list_jobs(queue="unique").jobs if not job.state.is_terminal]
            held = [key for key in live if key]
            assert len(held) == len(set(held))
            assert time.monotonic() < deadline + 30, outcomes()
        assert "failed" not in outcomes()
    assert_file_is_sound(path)
