"""One housekeeper among all: elected, renewed, followed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.engine.processes import HOUSEKEEPING, Lead, Resign, may_lead
from pyqueue.testing import FakeClock
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("looks into the file; PostgreSQL has tests/postgres/test_processes.py")


@pytest.fixture
def holders(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to ask who leads."""
    with PyQueue(path) as queue:
        queue.stats("q")
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


def leader(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT holder FROM pyqueue_lease WHERE name = ?", (HOUSEKEEPING,)).fetchone()
    return None if row is None else str(row[0])


def test_the_lead_is_one_processes_until_it_lapses_or_is_given_up(queue: PyQueue, clock: FakeClock) -> None:
    runtime = queue._runtime

    assert runtime.write(Lead("a", 1_000))
    assert not runtime.write(Lead("b", 1_000))
    clock.advance(ms=900)
    assert runtime.write(Lead("a", 1_000)), "renewed"
    clock.advance(ms=999)
    assert not runtime.read(lambda tx: may_lead(tx, "b"))
    clock.advance(ms=1)
    assert runtime.write(Lead("b", 1_000)), "followed"
    runtime.write(Resign("a"))
    assert not runtime.write(Lead("a", 1_000)), "only its holder gives it up"
    runtime.write(Resign("b"))
    assert runtime.write(Lead("a", 1_000))


def test_of_several_housekeepers_one_leads_and_a_closed_one_is_followed_at_once(
    path: Path, holders: sqlite3.Connection
) -> None:
    with PyQueue(path) as second, PyQueue(path) as first:
        first.start_housekeeping()
        eventually(lambda: leader(holders) == first._housekeeper._holder)
        second.start_housekeeping()
        first.close()

        eventually(lambda: leader(holders) == second._housekeeper._holder, seconds=5)
    assert leader(holders) is None


def test_a_killed_leader_is_followed_within_seconds(path: Path, holders: sqlite3.Connection) -> None:
    program = "import sys, time; from pyqueue import PyQueue; PyQueue(sys.argv[1]).start_housekeeping(); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program, str(path)])
    try:
        eventually(lambda: leader(holders))
        with PyQueue(path) as queue:
            queue.push("q", "n", backoff_delay_ms=0)
            queue.start_housekeeping()
            [job] = queue.pull("q", lease_ms=50)
            os.kill(process.pid, signal.SIGKILL)

            eventually(lambda: queue.get_job(job).state is JobState.WAITING, seconds=15)
            assert leader(holders) == queue._housekeeper._holder
    finally:
        process.kill()
        process.wait()


def test_a_leader_whose_clock_is_ahead_is_followed_all_the_same(path: Path) -> None:
    ahead, behind = FakeClock(), FakeClock()
    ahead.advance(seconds=3)
    with PyQueue(path, clock=ahead) as early, PyQueue(path, clock=behind) as late:
        assert early._runtime.write(Lead("early", 4_000))
        behind.advance(ms=6_999)
        assert not late._runtime.write(Lead("late", 4_000))
        behind.advance(ms=1)

        assert late._runtime.write(Lead("late", 4_000))


def test_housekeeping_of_a_thread_wakes_in_time_for_what_falls_due(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.start_housekeeping()
        queue.push("q", "n", max_attempts=1)
        [job] = queue.pull("q", lease_ms=30)

        eventually(lambda: queue.get_job(job).state is JobState.DLQ, seconds=5)
