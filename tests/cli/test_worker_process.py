"""A real worker process: signals, crashes, logs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.cli.worker import worker as worker_command
from pyqueue.core.errors import WaitTimeout
from pyqueue.core.worker.options import WorkerOptions
from tests.waiting import eventually

HANDLERS = """
import logging, os, pathlib, time
HERE = pathlib.Path(__file__).parent

def handle(job):
    if job.name == "wait":
        (HERE / "started").write_text(str(os.getpid()))
        while not (HERE / "go-on").exists():
            time.sleep(0.005)
    if job.name == "fail":
        raise LookupError("no such customer")
    if job.name == "log":
        logging.getLogger(__name__).warning("said by a handler")
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
def worker(
    project: Path, *arguments: str, handler: str = "handlers:handle", is_foreground_group: bool = False
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pyqueue", "worker", handler, "--queues", "q", "--storage", "jobs.db", *arguments]
    process = subprocess.Popen(
        command, cwd=project, stderr=subprocess.PIPE, text=True, start_new_session=is_foreground_group
    )
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


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_line_is_logged_for_each_job_with_its_duration(project: Path, mode: str) -> None:
    with PyQueue(project / "jobs.db") as queue:
        job_id = queue.push("q", "n")
        failing = queue.push("q", "fail", max_attempts=1)
    ended = _run(
        project, "handlers:handle", "--queues", "q", "--storage", "jobs.db", "--burst", "--log-format", "json",
        "--mode", mode, "--concurrency", "1",
    )  # fmt: skip

    records = {record["message"]: record for record in map(json.loads, _json_lines(ended.stderr))}
    done, failed = records["job completed"], records["job failed"]
    assert (done["job_id"], done["queue"], done["name"], done["attempt"], done["level"]) == (
        job_id,
        "q",
        "n",
        1,
        "INFO",
    )
    assert 0 <= done["duration_ms"] < 10_000
    assert (failed["job_id"], failed["state"], failed["level"]) == (failing, "dlq", "WARNING")


def test_text_logs_have_the_same_facts(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue:
        job_id = queue.push("q", "n")
    ended = _run(project, "handlers:handle", "--queues", "q", "--storage", "jobs.db", "--burst")

    [line] = [line for line in ended.stderr.splitlines() if "job completed" in line]
    assert re.search(rf"INFO +job completed  job_id={job_id} queue=q name=n attempt=1 duration_ms=[\d.]+$", line)


def test_the_logs_of_child_processes_look_like_those_of_the_worker(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue:
        queue.push("q", "log")
    ended = _run(
        project, "handlers:handle", "--queues", "q", "--storage", "jobs.db", "--burst", "--log-format", "json",
        "--mode", "process", "--concurrency", "1", "--log-level", "warning",
    )  # fmt: skip

    [record] = map(json.loads, _json_lines(ended.stderr))
    assert (record["message"], record["logger"], record["level"]) == ("said by a handler", "handlers", "WARNING")


def _json_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("{")]


def test_the_banner_says_who_works_where_on_what(project: Path) -> None:
    (project / "shop.py").write_text(TASKS)

    ended = _run(project, "shop:queue", "--burst", "--name", "web", "--queues", "q=3,r=1", "--concurrency", "2")

    assert ended.stdout == ""
    assert re.search(r"^pyqueue \S+: web-[0-9a-f]{12} on \S+, process \d+$", ended.stderr, re.MULTILINE)
    for line in ("queues   q=3, r=1", "mode     thread, 2 at a time", "tasks    double"):
        assert f"  {line}\n" in ended.stderr


def test_the_options_of_the_command_are_those_of_the_library() -> None:
    flags = {str(parameter.name) for parameter in worker_command.params}

    assert set(WorkerOptions.__annotations__) - {"import_path"} <= flags


def test_reload_starts_anew_when_the_code_changes_and_stops_as_the_worker_does(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue, worker(project, "--reload") as process:
        try:
            assert queue.wait_for(queue.push("q", "n"), timeout=20) == "done"
            (first,) = queue.workers()

            (project / "handlers.py").write_text(HANDLERS.replace('"done"', '"changed"'))
            eventually(lambda: [info.id for info in queue.workers()] not in ([], [first.id]), seconds=20)

            assert queue.wait_for(queue.push("q", "n"), timeout=20) == "changed"
        finally:
            process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0
        assert queue.workers() == []


def test_with_reload_a_change_waits_for_the_running_job(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue, worker(project, "--reload") as process:
        running = queue.push("q", "wait")
        eventually((project / "started").exists, seconds=20)
        (first,) = queue.workers()

        (project / "handlers.py").write_text(HANDLERS.replace('"done"', '"changed"'))
        _wait_until_said(process, "starting anew")
        (project / "go-on").touch()

        assert queue.wait_for(running, timeout=20) == "done"
        eventually(lambda: [info.id for info in queue.workers()] not in ([], [first.id]), seconds=20)
        assert queue.get_job(running).attempt == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_with_reload_ctrl_c_finishes_the_running_job(project: Path) -> None:
    options = ("--reload", "--concurrency", "2")
    with PyQueue(project / "jobs.db") as queue, worker(project, *options, is_foreground_group=True) as process:
        running = queue.push("q", "wait")
        eventually((project / "started").exists, seconds=20)

        os.killpg(process.pid, signal.SIGINT)
        eventually(lambda: not _takes_jobs(queue), seconds=20)
        (project / "go-on").touch()

        assert process.wait(20) == 0
        assert queue.get_job(running).result == "done"


def test_with_reload_a_second_ctrl_c_gives_the_running_job_back(project: Path) -> None:
    options = ("--reload", "--concurrency", "2")
    with PyQueue(project / "jobs.db") as queue, worker(project, *options, is_foreground_group=True) as process:
        running = queue.push("q", "wait")
        eventually((project / "started").exists, seconds=20)

        os.killpg(process.pid, signal.SIGINT)
        _wait_until_said(process, "once more ends at once")
        eventually(lambda: not _takes_jobs(queue), seconds=20)
        os.killpg(process.pid, signal.SIGINT)

        assert process.wait(20) == 0
        assert (queue.get_job(running).state, queue.get_job(running).attempt) == (JobState.WAITING, 0)


def test_reload_without_watchfiles_says_what_to_install(project: Path) -> None:
    (project / "watchfiles.py").write_text("raise ModuleNotFoundError('watchfiles')")

    ended = _run(project, "handlers:handle", "--reload")

    assert ended.returncode == 2
    assert "pip install watchfiles" in ended.stderr


def test_a_process_worker_that_is_killed_takes_its_children_along(project: Path) -> None:
    with PyQueue(project / "jobs.db") as queue:
        job_id = queue.push("q", "wait", backoff_delay_ms=0)
        with worker(project, "--mode", "process", "--concurrency", "1", "--lease-ms", "1000") as process:
            pid = int(eventually(lambda: (project / "started").exists() and (project / "started").read_text()))
            process.kill()
            process.wait()
            eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the orphan")

        assert queue.get_job(job_id).attempt == 0 or queue.attempts(job_id)


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_ctrl_c_at_the_terminal_lets_running_jobs_finish(project: Path, mode: str) -> None:
    """A terminal sends SIGINT to all processes of its foreground group."""
    with PyQueue(project / "jobs.db") as queue:
        job_id = queue.push("q", "wait")
        with worker(project, "--mode", mode, "--concurrency", "1", is_foreground_group=True) as process:
            eventually((project / "started").exists)
            os.killpg(process.pid, signal.SIGINT)
            (project / "go-on").touch()

            assert process.wait(20) == 0
        assert queue.get_job(job_id).result == "done"


def _wait_until_said(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), text


def _takes_jobs(queue: PyQueue) -> bool:
    try:
        queue.wait_for(queue.push("q", "n"), timeout=1)
    except WaitTimeout:
        return False
    return True
