"""Many doors: processes that push, pull and read on one file while another holds long read transactions."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyqueue import PyQueue

PROGRAM = """
import json, sys, time
from pyqueue import PyQueue, PyQueueError

path, seconds = sys.argv[1], float(sys.argv[2])
queue = PyQueue(path)
pushed, acked, errors = [], [], []
end = time.monotonic() + seconds
turns = 0
while time.monotonic() < end:
    turns += 1
    try:
        pushed.append(queue.push("q", "n", turns))
        pushed += queue.push_many("q", [{"name": "n"}] * 5)
        acked += [result.id for result in queue.ack_many(queue.pull("q", count=5)) if result.ok]
        queue.stats("q")
        queue.list_jobs(limit=5)
    except PyQueueError as error:
        errors.append(repr(error))
queue.close()
print(json.dumps({"turns": turns, "pushed": pushed, "acked": acked, "errors": errors}))
"""


def _run_all(path: Path, processes: int, seconds: float) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "first")
    done = threading.Event()
    reader = threading.Thread(target=_hold_long_reads, args=(path, done))
    reader.start()
    command = [sys.executable, "-c", PROGRAM, str(path), str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    reports = [json.loads(process.communicate(timeout=seconds + 60)[0]) for process in running]
    done.set()
    reader.join()

    assert [error for report in reports for error in report["errors"]] == []
    assert all(report["turns"] > 0 for report in reports), "nobody was kept out"
    pushed = [job_id for report in reports for job_id in report["pushed"]]
    acked = [job_id for report in reports for job_id in report["acked"]]
    assert len(acked) == len(set(acked)), "a job was completed twice"
    with PyQueue(path) as queue:
        counts = queue.stats("q")
        assert counts.total == len(pushed) + 1
        assert counts.completed == len(acked)
        assert counts.active == 0
        queue.push("q", "last")
    assert not os.path.exists(f"{path}-wal"), "the last to leave has emptied the log"
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def _hold_long_reads(path: Path, done: threading.Event) -> None:
    """A backup or a report: a snapshot that is held for half a second, again and again."""
    while not done.is_set():
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM pyqueue_job").fetchone()
        done.wait(0.5)
        connection.close()


@pytest.mark.sqlite("the file lock")
def test_many_processes_share_one_file_without_a_locked_error(path: Path) -> None:
    _run_all(path, processes=4, seconds=3)


@pytest.mark.sqlite("the file lock")
@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("processes", [4, 8])
def test_many_processes_share_one_file_for_a_minute(path: Path, processes: int) -> None:
    _run_all(path, processes=processes, seconds=60)
