"""kill -9 at random moments: what was acknowledged is kept, and nothing has two owners."""

from __future__ import annotations

import io
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from tests.waiting import eventually

PROGRAMS = Path(__file__).with_name("programs.py")
ROLES = ("push_singles", "push_batches", "push_from_tasks", "work", "work", "housekeep")


@dataclass
class Promises:
    """What the killed programs were told by the queue."""

    pushed: list[str] = field(default_factory=list)
    pulled: list[tuple[str, str]] = field(default_factory=list)
    acked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        verb, *words = line.split(" ")
        if verb == "pushed":
            self.pushed += words
        elif verb == "pulled":
            self.pulled.append((words[0], words[1]))
        elif verb == "acked":
            self.acked += words
        elif verb == "failed":
            self.failed.append(line)


def test_fifty_kills_lose_nothing_that_was_acknowledged(path: Path) -> None:
    _kill_and_check(path, durability="power", kills=54)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("durability", ["power", "process"])
def test_hundreds_of_kills_lose_nothing_that_was_acknowledged(path: Path, durability: str) -> None:
    _kill_and_check(path, durability=durability, kills=306)


def _kill_and_check(path: Path, *, durability: str, kills: int) -> None:
    promises = Promises()
    draw = random.Random(kills)
    for _ in range(kills // len(ROLES)):
        for line in _run_and_kill(path, durability, draw.uniform(0.02, 0.4)):
            promises.note(line)
        _check_file(path)
    assert promises.failed == []
    assert promises.pushed and promises.acked, "the programs were killed before they had done anything"
    _check_promises(path, promises)


def _run_and_kill(path: Path, durability: str, seconds: float) -> Sequence[str]:
    """Lets one program of each role run together, then kills them all; gives the whole lines they have written."""
    processes = [
        subprocess.Popen([sys.executable, str(PROGRAMS), role, str(path), durability], stdout=subprocess.PIPE)
        for role in ROLES
    ]
    # They run for ever: the time-out is the moment of the kill, counted from the first sign of life.
    assert isinstance(processes[0].stdout, io.BufferedReader) and processes[0].stdout.peek(1)
    with pytest.raises(subprocess.TimeoutExpired):
        processes[0].wait(seconds)
    for process in processes:
        process.kill()
    output = [process.communicate()[0].decode() for process in processes]
    # A line without its end was cut by the kill: it promises nothing.
    return [line for text in output for line in text.split("\n")[:-1]]


def _check_file(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    counted = dict(connection.execute("SELECT queue || state, jobs FROM pyqueue_count WHERE jobs <> 0").fetchall())
    real = dict(connection.execute("SELECT queue || state, count(*) FROM pyqueue_job GROUP BY 1").fetchall())
    connection.close()
    assert counted == real


def _check_promises(path: Path, promises: Promises) -> None:
    assert max(Counter(promises.acked).values()) == 1, "a job was completed twice"
    assert max(Counter(promises.pulled).values()) == 1, "two workers held the same lease"
    with PyQueue(path) as queue:
        for job_id in promises.acked:
            assert queue.get_job(job_id).state is JobState.COMPLETED
        assert all(queue.get_job(job_id) for job_id in promises.pushed)
        _work_to_the_end(queue)
        counts = queue.stats("work")
        assert counts.completed + counts.dlq == counts.total >= len(promises.pushed)


def _work_to_the_end(queue: PyQueue) -> None:
    def is_done() -> bool:
        queue.housekeep()
        queue.run_worker("work", lambda job: None, burst=True)
        counts = queue.stats("work")
        return counts.waiting + counts.delayed + counts.active == 0

    eventually(is_done, seconds=60, what="all jobs done")
