"""Process mode: whatever becomes of a child costs the job that it ran, and no other."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import ConfigError
from tests.waiting import eventually
from tests.worker import jobs
from tests.working import running

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for child processes in /proc"),
    pytest.mark.sqlite,  # The children are the same on any store; test_fire has them on PostgreSQL too.
]


def burst(queue: PyQueue, **options: Any) -> Any:
    return queue.run_worker("q", jobs.handle, **{"mode": "process", "concurrency": 1, "burst": True, **options})


def is_alive(pid: int) -> bool:
    """Whether the process runs: not ended, and not waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_jobs_run_in_other_processes_and_their_results_come_back(queue: PyQueue) -> None:
    echoed = queue.push("q", "echo", {"text": "ä\n\u2028", "n": [1.5, None]})
    pids = queue.push_many("q", [{"name": "pid"}] * 6)

    report = burst(queue, concurrency=2)

    assert report.completed == 7
    assert queue.get_job(echoed).result == {"text": "ä\n\u2028", "n": [1.5, None]}
    assert os.getpid() not in {queue.get_job(job_id).result for job_id in pids}


def test_data_of_the_largest_size_crosses_the_pipe_and_back(queue: PyQueue) -> None:
    job_id = queue.push("q", "echo", "x" * (1_048_576 - 2))

    burst(queue)

    assert len(queue.get_job(job_id).result) == 1_048_574


def test_a_coroutine_handler_runs_in_a_process_too(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", 7)

    queue.run_worker("q", jobs.ahandle, mode="process", concurrency=1, burst=True)

    data, pid = queue.get_job(job_id).result
    assert data == 7
    assert pid != os.getpid()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("die", r"signal SIGKILL, peak memory \d+ MB"),
        ("crash", r"signal SIGSEGV, peak memory \d+ MB"),
        ("exit", r"exit code 7, peak memory \d+ MB"),
        ("fork_and_die", r"signal SIGKILL, peak memory \d+ MB"),
        ("close_everything", r"signal SIGKILL, peak memory \d+ MB"),
    ],
)
def test_a_job_that_kills_its_process_has_failed_and_its_neighbours_have_not(
    queue: PyQueue, name: str, says: str
) -> None:
    before = queue.push_many("q", [{"name": "echo", "data": n} for n in range(3)])
    killer = queue.push("q", name, max_attempts=1)
    after = queue.push_many("q", [{"name": "echo", "data": n} for n in range(3)])

    report = burst(queue, concurrency=2)

    assert (report.completed, report.failed, report.lost) == (6, 1, 0)
    assert [queue.attempts(job_id) for job_id in before + after] == [[]] * 6
    [attempt] = queue.attempts(killer)
    assert queue.get_job(killer).state is JobState.DLQ
    assert re.fullmatch(f"the process that ran the job died: {says}", attempt.error), attempt.error


def test_a_job_that_keeps_killing_processes_ends_among_the_dead_letters(queue: PyQueue) -> None:
    job_id = queue.push("q", "die", max_attempts=100, backoff_delay_ms=0)

    report = burst(queue)

    job = queue.get_job(job_id)
    assert (job.state, job.attempt, report.failed) == (JobState.DLQ, 3, 3)
    assert "signal SIGKILL, peak memory" in str(job.last_error)
    assert "it has killed 3 and gets no other" in str(job.last_error)


@pytest.mark.parametrize("name", ["leave", "raise", "unstorable"])
def test_a_job_that_merely_fails_keeps_its_process(queue: PyQueue, name: str) -> None:
    first, failed, last = (queue.push("q", each, max_attempts=1) for each in ("pid", name, "pid"))

    burst(queue)

    assert queue.get_job(first).result == queue.get_job(last).result
    assert queue.get_job(failed).state is JobState.DLQ
    expected = {"leave": "SystemExit: 3", "raise": "LookupError: no such customer", "unstorable": "stored as JSON"}
    assert expected[name] in str(queue.get_job(failed).last_error)


def test_verdicts_cross_the_pipe(queue: PyQueue) -> None:
    retried, snoozed, discarded = (queue.push("q", name) for name in ("retry", "snooze", "discard"))

    with running(queue.worker("q", jobs.handle, mode="process", concurrency=1)):
        assert queue.wait_for(retried, 10) == "retried"
        assert queue.wait_for(snoozed, 10) == "woken"
        eventually(lambda: queue.get_job(discarded).state is JobState.CANCELLED)

    assert (queue.get_job(retried).attempt, queue.get_job(snoozed).attempt) == (1, 0)
    assert queue.get_job(discarded).last_error == "no point"


def test_tasks_have_their_context_in_a_process(queue: PyQueue) -> None:
    job_id = queue.push("q", "total", {"numbers": [1, 2], "when": 0.5})
    other = queue.push("q", "atotal", {"numbers": [3, 4]})

    queue.run_worker("q", mode="process", concurrency=1, burst=True, import_path="tests.worker.jobs:tasks")

    job = queue.get_job(job_id)
    assert (job.result["total"], job.result["key"], job.result["cancelled"]) == ([3, 3], job_id, False)
    assert job.result["pid"] != os.getpid()
    assert (job.progress, [entry.message for entry in job.logs]) == (50, ["half", "adding"])
    assert queue.get_job(other).result == 7


def test_what_a_handler_prints_goes_to_stderr_and_its_input_is_empty(
    queue: PyQueue, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = queue.push("q", "print")

    burst(queue)

    assert queue.get_job(job_id).result == "printed"
    assert "a handler prints" in capfd.readouterr().err


def test_a_run_beyond_its_timeout_is_killed_with_what_it_has_started(queue: PyQueue, tmp_path: Path) -> None:
    job_id = queue.push("q", "start_a_program_and_hang", str(tmp_path), timeout_ms=1_500, max_attempts=1)
    after = queue.push("q", "pid")

    report = burst(queue)

    assert (report.completed, report.failed, report.lost) == (1, 1, 0)
    assert queue.get_job(job_id).last_error == "job timed out after 1500 ms"
    assert queue.get_job(after).state is JobState.COMPLETED
    eventually(lambda: not is_alive(int((tmp_path / "program").read_text())))


def test_a_computing_job_is_killed_at_its_timeout(queue: PyQueue, tmp_path: Path) -> None:
    job_id = queue.push("q", "spin", str(tmp_path), timeout_ms=1_000, max_attempts=1)

    report = burst(queue)

    assert report.failed == 1
    assert queue.get_job(job_id).last_error == "job timed out after 1000 ms"


def test_children_are_replaced_after_so_many_jobs(queue: PyQueue) -> None:
    ids = queue.push_many("q", [{"name": "pid"}] * 7)

    burst(queue, max_jobs_per_child=3)

    assert sorted(Counter(queue.get_job(job_id).result for job_id in ids).values()) == [1, 3, 3]


def test_a_child_that_has_grown_too_large_is_replaced_between_two_jobs(queue: PyQueue) -> None:
    small = queue.push_many("q", [{"name": "grow", "data": 1}] * 2)
    large = queue.push("q", "grow", 150)
    after = queue.push("q", "pid")

    report = burst(queue, max_memory_mb=120)

    pids = [queue.get_job(job_id).result for job_id in (*small, large, after)]
    assert report.completed == 4
    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_a_child_killed_from_outside_costs_its_job_one_attempt(queue: PyQueue, tmp_path: Path) -> None:
    job_id = queue.push("q", "wait", str(tmp_path), backoff_delay_ms=0)
    with running(queue.worker("q", jobs.handle, mode="process", concurrency=1)):
        eventually((tmp_path / "started").exists)
        pid = queue.push("q", "pid")
        [child] = _children()
        os.kill(child, signal.SIGKILL)
        (tmp_path / "go-on").touch()

        assert queue.wait_for(job_id, 10) == "waited"
        assert queue.wait_for(pid, 10) != child

    assert [attempt.number for attempt in queue.attempts(job_id)] == [1]


def _children() -> list[int]:
    """The child processes of this one that run jobs."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += (task / "children").read_text().split()
    return [int(pid) for pid in found if "pyqueue.core.child" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_cancelled_job_may_notice_it_itself(queue: PyQueue, tmp_path: Path) -> None:
    job_id = queue.push("q", "wait-for-cancel", {"folder": str(tmp_path)})
    with running(queue.worker("q", mode="process", concurrency=1, import_path="tests.worker.jobs:tasks")):
        eventually((tmp_path / "started").exists)
        queue.cancel(job_id)
        eventually((tmp_path / "noticed").exists)


def test_a_cancelled_job_that_does_not_notice_loses_its_process(queue: PyQueue, tmp_path: Path) -> None:
    job_id = queue.push("q", "spin", str(tmp_path))
    with running(queue.worker("q", jobs.handle, mode="process", concurrency=1, lease_ms=600)):
        eventually(lambda: list(tmp_path.glob("spinning-*")))
        queue.cancel(job_id)
        eventually(lambda: queue.get_job(job_id).state is JobState.CANCELLED)
        assert queue.wait_for(queue.push("q", "echo", 1), 10) == 1


def test_a_job_that_was_taken_away_does_not_go_on(queue: PyQueue, tmp_path: Path) -> None:
    job_id = queue.push("q", "spin", str(tmp_path))
    worker = queue.worker("q", jobs.handle, mode="process", concurrency=1, lease_ms=600)
    with running(worker) as reports:
        [mark] = eventually(lambda: list(tmp_path.glob("spinning-*")))
        queue.pause("q", pulls=True)
        queue.release(job_id)
        eventually(lambda: not is_alive(int(mark.name.partition("-")[2])))

    assert reports[0].lost == 1
    assert queue.get_job(job_id).state is JobState.WAITING


def test_stop_lets_the_running_job_finish(queue: PyQueue, tmp_path: Path) -> None:
    job_id = queue.push("q", "wait", str(tmp_path))
    worker = queue.worker("q", jobs.handle, mode="process", concurrency=1)
    with running(worker) as reports:
        eventually((tmp_path / "started").exists)
        worker.stop()
        (tmp_path / "go-on").touch()
        eventually(lambda: reports)

    assert (queue.get_job(job_id).result, reports[0].completed) == ("waited", 1)


@pytest.mark.parametrize("grace_ms", [100, 60_000])
def test_the_end_of_the_grace_or_a_second_stop_kills_children_and_gives_their_jobs_back(
    queue: PyQueue, tmp_path: Path, grace_ms: int
) -> None:
    job_id = queue.push("q", "spin", str(tmp_path))
    worker = queue.worker("q", jobs.handle, mode="process", concurrency=1, grace_ms=grace_ms)
    with running(worker) as reports:
        [mark] = eventually(lambda: list(tmp_path.glob("spinning-*")))
        worker.stop()
        if grace_ms == 60_000:
            worker.stop()
        eventually(lambda: reports)

    job = queue.get_job(job_id)
    assert (job.state, job.attempt, reports[0].released) == (JobState.WAITING, 0, 1)
    eventually(lambda: not is_alive(int(mark.name.partition("-")[2])))


def test_children_that_cannot_import_what_they_are_to_run_are_reported_before_a_job_is_claimed(
    queue: PyQueue,
) -> None:
    job_id = queue.push("q", "echo")

    with pytest.raises(ConfigError, match=r"a child process cannot run 'tests.worker.nowhere:handle'.*nowhere"):
        burst(queue, import_path="tests.worker.nowhere:handle")

    assert queue.get_job(job_id).lease_token == 0


def test_a_handler_without_a_name_to_import_is_refused(queue: PyQueue) -> None:
    with pytest.raises(ConfigError, match="expected import_path='module:name'"):
        queue.worker("q", lambda job: None, mode="process")
    with pytest.raises(ConfigError, match="expected import_path='module:name'"):
        queue.worker("q", mode="process")


def test_a_queue_in_memory_has_no_processes() -> None:
    with PyQueue.memory() as queue, pytest.raises(ConfigError, match="in memory"):
        queue.worker("q", jobs.handle, mode="process")


def test_no_process_is_left_behind(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "echo"}] * 4)

    burst(queue, concurrency=3)

    assert _children() == []
    assert threading.active_count() < 20
