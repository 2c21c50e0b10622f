"""Workers under fire, in each mode: no job lost, none in two runs at a time, attempts counted right."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from tests.waiting import eventually
from tests.worker import jobs
from tests.working import running

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for child processes in /proc")

ROOT = Path(__file__).parent.parent.parent
LEASE_MS = 1_000


@contextmanager
def worker_process(path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable, "-m", "pyqueue", "worker", "tests.worker.jobs:handle", "--queues", "q", "--storage", str(path),
        "--lease-ms", str(LEASE_MS), "--log-level", "error", *options,  # More would fill a pipe that nobody reads.
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def children_of(pid: int) -> list[int]:
    found: list[str] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += (task / "children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in found]


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def runs_of(log: Path) -> dict[str, list[tuple[str, str]]]:
    """What each job left in the log: (begin or end, process), in the order in which it was written."""
    runs: dict[str, list[tuple[str, str]]] = {}
    for line in log.read_text().splitlines():
        what, job_id, pid = line.split()
        runs.setdefault(job_id, []).append((what, pid))
    return runs


def assert_never_two_at_once(runs: dict[str, list[tuple[str, str]]]) -> None:
    """A run that follows another begins after that one has ended, or its process was gone."""
    for lines in runs.values():
        running_in: str | None = None
        for what, pid in lines:
            if what == "begin":
                running_in = pid
            else:
                assert pid == running_in, "a process wrote the end of a run after another had begun the next"
                running_in = None


def push(queue: PyQueue, log: Path, count: int, seconds: float) -> list[str]:
    data = {"file": str(log), "seconds": seconds}
    return queue.push_many("q", [{"name": "noted", "data": data, "max_attempts": 50, "backoff_delay_ms": 0}] * count)


@pytest.mark.parametrize(("jobs_at_all", "kills"), [(60, 6), pytest.param(600, 60, marks=pytest.mark.soak)])
def test_children_killed_at_random_cost_an_attempt_each(
    path: Path, tmp_path: Path, jobs_at_all: int, kills: int
) -> None:
    draw, log = random.Random(4), tmp_path / "log"
    log.touch()
    killed = 0
    with PyQueue(path) as queue, worker_process(path, "--mode", "process", "--concurrency", "3") as process:
        ids = push(queue, log, jobs_at_all, 0.03)
        eventually(lambda: len(children_of(process.pid)) == 3)
        while (counts := queue.stats("q")).completed + counts.dlq < jobs_at_all:
            time.sleep(draw.uniform(0.02, 0.15))
            # Those that have begun a job: one killed while it starts would make the next wait before it does.
            begun_in = {int(pid) for lines in runs_of(log).values() for _, pid in lines}
            victims = sorted(begun_in.intersection(children_of(process.pid)))
            if victims and killed < kills:
                kill(draw.choice(victims))
                killed += 1

        attempts = {job_id: queue.attempts(job_id) for job_id in ids}
        dead = {job_id for job_id in ids if queue.get_job(job_id).state is JobState.DLQ}

    runs = runs_of(log)
    assert {len(attempts[job_id]) for job_id in dead} <= {3}, "only a job that has killed three is given up"
    assert_never_two_at_once(runs)
    assert all("signal SIGKILL" in attempt.error for each in attempts.values() for attempt in each)
    assert sum(map(len, attempts.values())) <= killed
    for job_id in ids:
        begun = sum(what == "begin" for what, _ in runs[job_id])
        assert begun - (job_id not in dead) <= len(attempts[job_id]), (
            "a run that was begun and not completed is an attempt"
        )


@pytest.mark.parametrize("mode", ["thread", "process"])
@pytest.mark.parametrize(("jobs_at_all", "kills"), [(30, 1), pytest.param(600, 30, marks=pytest.mark.soak)])
def test_workers_killed_and_replaced_lose_nothing(
    path: Path, tmp_path: Path, mode: str, jobs_at_all: int, kills: int
) -> None:
    draw, log = random.Random(7), tmp_path / "log"
    log.touch()
    with PyQueue(path) as queue:
        ids = push(queue, log, jobs_at_all, 0.05)
        for _ in range(kills):
            before = queue.stats("q").completed
            with worker_process(path, "--mode", mode, "--concurrency", "3"):
                eventually(lambda before=before: queue.stats("q").completed > before, seconds=30)  # type: ignore[misc]
                time.sleep(draw.uniform(0, 0.1))
        with worker_process(path, "--mode", mode, "--concurrency", "3") as process:
            eventually(lambda: queue.stats("q").completed == jobs_at_all, seconds=60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0

        stalls = [attempt.error for job_id in ids for attempt in queue.attempts(job_id)]
        assert all("stalled" in error for error in stalls)
        assert len(stalls) <= kills * (3 + 200)
    assert_never_two_at_once(runs_of(log))


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_sigterm_in_the_middle_leaves_nothing_half_done(path: Path, tmp_path: Path, mode: str) -> None:
    log = tmp_path / "log"
    log.touch()
    with PyQueue(path) as queue:
        ids = push(queue, log, 40, 0.02)
        with worker_process(path, "--mode", mode, "--concurrency", "2") as process:
            eventually(lambda: queue.stats("q").completed >= 5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0

        counts = queue.stats("q")
        assert (counts.active, counts.completed + counts.waiting) == (0, 40)
        assert [queue.attempts(job_id) for job_id in ids] == [[]] * 40
        runs = runs_of(log)
        assert len(runs) == counts.completed
        assert all([what for what, _ in lines] == ["begin", "end"] for lines in runs.values())


@pytest.mark.sqlite
@pytest.mark.parametrize("mode", ["thread", "process"])
@pytest.mark.parametrize("away_seconds", [1.5, pytest.param(10.0, marks=pytest.mark.soak)])
def test_a_database_that_is_away_for_a_while_costs_nothing_but_time(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, away_seconds: float
) -> None:
    """Away: every statement of the worker fails, as it does while another process holds the lock for too long."""
    from pyqueue.core.store import connection

    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    log = tmp_path / "log"
    log.touch()
    with PyQueue(path) as queue:
        ids = push(queue, log, 30, 0.05)
        blocker = sqlite3.connect(path, isolation_level=None, timeout=20)
        with running(queue.worker("q", jobs.handle, mode=mode, concurrency=2, lease_ms=30_000)):  # type: ignore[arg-type]
            eventually(lambda: len(runs_of(log)) >= 3)
            blocker.execute("BEGIN IMMEDIATE")
            time.sleep(away_seconds)
            blocker.execute("ROLLBACK")
            eventually(lambda: queue.stats("q").completed == 30, seconds=30)
        blocker.close()

        assert [queue.attempts(job_id) for job_id in ids] == [[]] * 30
    assert all([what for what, _ in lines] == ["begin", "end"] for lines in runs_of(log).values()), "none ran twice"


@pytest.mark.sqlite
def test_a_worker_that_cannot_use_its_database_at_the_start_says_so_and_ends(tmp_path: Path) -> None:
    folder = tmp_path / "jobs.db"
    folder.mkdir()

    with worker_process(folder, "--mode", "process", "--concurrency", "1") as process:
        _, stderr = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "is a folder; expected" in stderr
