"""Many doors: processes that push, pull and read in one schema at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pyqueue import PyQueue
from tests.crash.test_doors import PROGRAM

ROOT = Path(__file__).parent.parent.parent


def test_many_processes_share_one_schema_and_no_job_is_lost_or_done_twice(url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, url, "3"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(4)
    ]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    pushed = [job_id for each in told for job_id in each["pushed"]]
    acked = [job_id for each in told for job_id in each["acked"]]
    assert [error for each in told for error in each["errors"]] == []
    assert all(each["turns"] > 3 for each in told)
    assert len(set(pushed)) == len(pushed)
    assert len(set(acked)) == len(acked), "a job was done twice"
    with PyQueue(url) as queue:
        counts = queue.stats("q")
    assert (counts.total, counts.completed) == (len(pushed), len(acked))
    assert counts.active == 0
