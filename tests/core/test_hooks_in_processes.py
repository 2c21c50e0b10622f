"""What surrounds a run does so in a worker's child processes too: wraps, signals, steps, verdicts, log records."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pyqueue import JobState, PyQueue

MODULE = """
import logging, os
from pyqueue import Discard, JobContext, JobFilter, PyQueue, current_job, signals

queue = PyQueue("jobs.db")
seen = open("seen", "a", buffering=1)

@queue.wrap
def around(job):
    print("in", job.name, file=seen)
    try:
        yield
    finally:
        print("out", job.name, file=seen)

@signals.after_run.connect_via(queue)
def after(sender, job, result):
    print("after", job.name, result, file=seen)

@signals.run_failed.connect_via(queue)
def failed(sender, job, error):
    print("failed", job.name, type(error).__name__, file=seen)

@queue.task(queue="q", backoff_delay_ms=0)
def works(ctx: JobContext) -> bool:
    assert current_job().id == ctx.job.id
    ctx.once("step", lambda: print("step", file=seen))
    ctx.log("working")
    if ctx.job.attempt == 0:
        raise ConnectionError("gone")
    return os.getpid() != os.getppid()

@queue.task(queue="q")
async def pointless() -> None:
    raise Discard("no point")
"""


def test_hooks_and_steps_work_in_child_processes(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(MODULE)
    with PyQueue(tmp_path / "jobs.db") as queue:
        ids = [queue.push("q", "works", backoff_delay_ms=0), queue.push("q", "pointless")]
        command = [sys.executable, "-m", "pyqueue", "worker", "jobs:queue", "--mode", "process", "--concurrency", "1"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [*command, "--burst"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        works, pointless = (queue.get_job(job_id) for job_id in ids)

    assert done.returncode == 0, done.stderr
    assert (works.state, works.attempt, works.result) == (JobState.COMPLETED, 1, True)
    assert [entry.message for entry in works.logs] == ["working", "working"]
    assert (pointless.state, pointless.last_error) == (JobState.CANCELLED, "no point")
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen.count("step") == 1
    assert [line for line in seen if "works" in line] == [
        *("in works", "out works", "failed works ConnectionError"),
        *("in works", "out works", "after works True"),
    ]
    assert [line for line in seen if "pointless" in line] == [
        *("in pointless", "out pointless", "failed pointless Discard"),
    ]
