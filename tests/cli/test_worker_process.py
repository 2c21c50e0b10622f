"""A real worker process: signals, crashes, logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from tests.waiting import eventually

HANDLERS = """
import pathlib, time
HERE = pathlib.Path(__file__).parent

def handle(job):
    if job.name == "wait":
        (HERE / "started").touch()
        while not (HERE / "go-on").exists():
            time.sleep(0.005)
    return "done"

async def ahandle(job):
    return "done"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a module of handlers, as a user's project has."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


@contextmanager
def worker(project: Path, *arguments: str, handler: str = "handlers:handle") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pyqueue", "worker", handler, "--queues", "q", "--storage", "jobs.db", *arguments]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("handler", ["handlers:handle", "handlers:ahandle"])
def test_a_burst_does_the_work_and_ends(project: Path, handler: str) -> None:
    with PyQueue(project / "jobs.db") as queue:
        job_id = queue.push("q", "n")
        with worker(project, "--burst", "--log-format", "json", handler=handler) as process:
            _, stderr = process.communicate(timeout=30)

        assert process.returncode == 0
        assert queue.get_job(job_id).result == "done"
    records = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    [completed] = [record for record in records if record["message"] == "job completed"]
    assert (completed["job_id"], completed["queue"], completed["level"]) == (job_id, "q", "INFO")
    assert "1 completed, 0 failed" in stderr


def test_sigterm_finishes_the_running_job(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue, worker(project) as process:
        running, waiting = queue.push("q", "wait"), queue.push("q", "n")
        eventually((project / "started").exists)
        process.send_signal(signal.SIGTERM)
        (project / "go-on").touch()

        assert process.wait(20) == 0
        assert queue.get_job(running).result == "done"
        assert queue.get_job(waiting).state is JobState.WAITING


def test_a_second_signal_gives_the_running_job_back(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue, worker(project) as process:
        job_id = queue.push("q", "wait")
        eventually((project / "started").exists)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0
        assert (queue.get_job(job_id).state, queue.get_job(job_id).attempt) == (JobState.WAITING, 0)


def test_a_killed_worker_is_replaced_by_another(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue:
        job_id = queue.push("q", "wait", backoff_delay_ms=0)
        with worker(project, "--lease-ms", "300") as first:
            eventually((project / "started").exists)
            os.kill(first.pid, signal.SIGKILL)
        (project / "go-on").touch()
        with worker(project, "--lease-ms", "300"):
            assert queue.wait_for(job_id, timeout=20) == "done"

        [attempt] = queue.attempts(job_id)
        assert "stalled" in attempt.error


TASKS = """
from pyqueue import PyQueue, Tasks

queue = PyQueue("jobs.db")
tasks = Tasks()

@queue.task(queue="q")
def double(number: int) -> int:
    return 2 * number

@tasks.task(queue="q")
async def double_too(number: int) -> int:
    return 2 * number
"""


@pytest.mark.parametrize(
    ("what", "name", "options"),
    [("shop:queue", "double", ()), ("shop:tasks", "double-too", ("--storage", "jobs.db"))],
)
def test_a_worker_runs_the_tasks_of_a_queue_or_registry(
    project: Path, what: str, name: str, options: tuple[str, ...]
) -> None:
    (project / "shop.py").write_text(TASKS)
    with PyQueue(project / "jobs.db") as queue:
        job_id = queue.push("q", name, {"number": 21})

        ended = _run(project, what, "--burst", *options)

        assert ended.returncode == 0, ended.stderr
        assert queue.wait_for(job_id, 1) == 42


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop:tasks",), "no storage; give --storage"),
        (("shop:queue", "--storage", "other.db"), "has its own storage"),
        (("shop:queue", "--durability", "process"), "has its own storage and durability"),
        (("shop:double",), "is one task; name its PyQueue"),
        (("handlers:handle", "--storage", "jobs.db"), "a handler needs --queues"),
    ],
)
def test_a_worker_that_was_told_too_little_or_too_much_says_so(
    project: Path, arguments: tuple[str, ...], message: str
) -> None:
    (project / "shop.py").write_text(TASKS)

    ended = _run(project, *arguments)

    assert ended.returncode == 2
    assert message in ended.stderr


def _run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyqueue", "worker", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYQUEUE_STORAGE"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=30)
