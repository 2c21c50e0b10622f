"""The command line on a file: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyqueue import JobOptions, PyQueue
from pyqueue.cli.jobs import push as push_command
from pyqueue.cli.main import main
from pyqueue.core.clock import SystemClock
from pyqueue.core.presence import Presence
from tests.cli.calling import run


def test_every_job_option_is_a_flag_of_push() -> None:
    flags = {parameter.name for parameter in push_command.params}

    assert set(JobOptions.__annotations__) <= flags


def test_push_prints_the_id_and_stores_the_job(storage: str) -> None:
    result = run("push", "q", "n", "--data", '{"to": 1}', "--tag", "a", "--tag", "b", "--lifo", storage=storage)

    assert result.exit_code == 0
    with PyQueue(storage) as queue:
        job = queue.get_job(result.stdout.strip())
    assert (job.data, job.tags, job.lifo) == ({"to": 1}, ("a", "b"), True)


def test_push_takes_data_from_stdin_and_the_other_options(storage: str) -> None:
    options = ["--metadata", '{"m": 1}', "--run-at", "2099-01-01T00:00:00+00:00", "--max-attempts", "9"]

    result = run("push", "q", "n", "--data", "-", *options, storage=storage, input="[1, 2]")

    with PyQueue(storage) as queue:
        job = queue.get_job(result.stdout.strip())
    assert (job.data, job.metadata, job.max_attempts, job.state) == ([1, 2], {"m": 1}, 9, "delayed")


@pytest.mark.parametrize("word", ["fail", "cancel", "run", "only"])
def test_push_takes_what_becomes_of_a_failed_parents_child_in_the_words_of_the_api(storage: str, word: str) -> None:
    parent = run("push", "q", "parent", storage=storage).stdout.strip()

    result = run("push", "q", "child", "--depends-on", parent, "--on-parent-failure", word, storage=storage)

    with PyQueue(storage) as queue:
        assert queue.get_job(result.stdout.strip()).on_parent_failure == word


def test_push_makes_a_file_that_is_not_there_and_says_so(tmp_path: Path) -> None:
    result = run("push", "q", "n", storage=str(tmp_path / "new.db"))

    assert result.exit_code == 0
    assert "creating" in result.stderr


@pytest.mark.parametrize("command", [["status"], ["jobs"], ["inspect", "x"], ["pause", "q"], ["purge", "q"]])
def test_other_commands_do_not_make_a_file_by_a_typo(tmp_path: Path, command: list[str]) -> None:
    missing = tmp_path / "typo.db"

    result = run(*command, storage=str(missing))

    assert result.exit_code == 2
    assert "there is no queue in" in result.stderr
    assert not missing.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["push", "q", "n", "--data", "{"], 2, "--data is not JSON"),
        (["push", "q", "n", "--run-at", "soon"], 2, "--run-at 'soon'"),
        (["push", "q q", "n"], 2, "alphanumeric"),
        (["push", "q", "n", "--backoff", "odd"], 2, "Invalid value"),
        (["inspect", "nonsense"], 2, "not a UUID"),
        (["inspect", "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"], 1, "not known here"),
        (["retry"], 2, "ids or --dlq"),
        (["worker", "nowhere", "--queues", "q"], 2, "expected MODULE:NAME"),
        (["worker", "nowhere:handle", "--queues", "q"], 2, "No module named 'nowhere'"),
        (["worker", "json:nothing", "--queues", "q"], 2, "no attribute 'nothing'"),
        (["worker", "json:__name__", "--queues", "q"], 2, "expected a function"),
        (["worker", "json:dumps", "--queues", ","], 2, "no queue"),
    ],
)
def test_an_error_is_one_line_with_the_right_status(
    storage: str, arguments: list[str], status: int, message: str
) -> None:
    result = run(*arguments, storage=storage)

    assert (result.exit_code, result.stdout) == (status, "")
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_status_shows_every_queue_as_a_table_and_as_json(storage: str) -> None:
    with PyQueue(storage) as queue:
        queue.push_many("emails", [{"name": "n"}] * 3)
        queue.pause("emails")
        queue.push("reports", "n", delay_ms=9_999)

    table = run("status", storage=storage).stdout.splitlines()
    objects = [json.loads(line) for line in run("status", "--json", storage=storage).stdout.splitlines()]

    assert table[1].split() == ["emails", "3", "0", "0", "0", "0", "0", "0", "pushes"]
    assert [each["name"] for each in objects] == ["emails", "reports"]
    assert objects[0]["counts"]["waiting"] == 3
    assert objects[0]["pushes_paused"] is True


def test_inspect_shows_attempts_and_logs(storage: str) -> None:
    with PyQueue(storage) as queue:
        job_id = queue.push("q", "n", {"a": 1}, max_attempts=1)
        [job] = queue.pull("q")
        queue.progress(job, 40, "begun")
        queue.fail(job, "broken")

    text = run("inspect", job_id, storage=storage).stdout
    shape = json.loads(run("inspect", job_id, "--json", storage=storage).stdout)

    assert "failed run 1" in text
    assert "begun" in text
    assert shape["attempts"][0]["error"] == "broken"
    assert shape["logs"][0]["message"] == "begun"
    assert "metadata" not in shape
    assert shape["created_at"].endswith("Z")


def test_jobs_are_listed_in_pages(storage: str) -> None:
    with PyQueue(storage) as queue:
        ids = queue.push_many("q", [{"name": "n"}] * 3)

    first = run("jobs", "--queue", "q", "--limit", "2", "--json", storage=storage)
    cursor = first.stderr.split()[-1]
    second = run("jobs", "--queue", "q", "--limit", "2", "--cursor", cursor, "--json", storage=storage)

    listed = [json.loads(line)["id"] for line in (first.stdout + second.stdout).splitlines()]
    assert listed == ids[::-1]
    assert "waiting" in run("jobs", "--state", "waiting", storage=storage).stdout


def test_dead_letters_are_listed_of_all_queues_and_of_one(storage: str) -> None:
    with PyQueue(storage) as queue:
        dead = {name: queue.push(name, "n", max_attempts=1) for name in ("one", "two")}
        for name in dead:
            queue.fail(queue.pull(name)[0], "broken")
        queue.push("one", "alive")

    everywhere = run("dlq", "--json", storage=storage).stdout
    of_one = run("dlq", "one", storage=storage).stdout

    assert {json.loads(line)["id"] for line in everywhere.splitlines()} == set(dead.values())
    assert dead["one"] in of_one and "broken" in of_one and dead["two"] not in of_one


def test_retry_cancel_delete_purge_pause_and_resume_do_what_they_say(storage: str) -> None:
    with PyQueue(storage) as queue:
        job_id = queue.push("q", "n")

    assert run("cancel", job_id, storage=storage).stdout == "cancelled\n"
    assert run("retry", job_id, storage=storage).exit_code == 0
    assert run("retry", "--dlq", "q", storage=storage).stdout == "0\n"
    assert run("pause", "q", storage=storage).exit_code == 0
    assert run("push", "q", "n", storage=storage).exit_code == 1
    assert run("resume", "q", storage=storage).exit_code == 0
    assert run("delete", job_id, storage=storage).exit_code == 0
    run("push", "q", "n", storage=storage)
    assert run("purge", "q", storage=storage, input="n\n").exit_code == 1
    assert run("purge", "q", "--yes", storage=storage).stdout == "1\n"


def test_the_storage_may_come_from_the_environment(storage: str) -> None:
    result = CliRunner().invoke(main, ["push", "q", "n"], env={"PYQUEUE_STORAGE": storage})

    assert result.exit_code == 0


def test_help_of_every_command_has_an_example() -> None:
    for name, command in main.commands.items():
        help_text = CliRunner().invoke(main, [name, "--help"]).output
        assert f"Example: pyqueue {name}" in " ".join(help_text.split()), name
        assert command.get_short_help_str(200).endswith("."), name


def test_workers_shows_who_works_on_what(storage: str) -> None:
    presence = Presence(
        id="web-1-0a",
        name="web-1",
        host="h",
        pid=7,
        version="1",
        mode="thread",
        concurrency=2,
        queues=("q", "r"),
        tasks=("send",),
        started_us=SystemClock().now_us() - 3_700_000_000,
    )
    nobody = run("workers", storage=storage)
    with PyQueue(storage) as queue:
        ids = queue.push_many("q", [{"name": "send"}] * 7)
        jobs = queue.pull("q", count=7, worker_id="web-1-0a")
        queue.beat(jobs, lease_ms=60_000, presence=presence)

    table = run("workers", storage=storage).stdout
    as_json = json.loads(run("workers", "--json", storage=storage).stdout)

    assert (nobody.stdout, nobody.stderr) == ("", "no workers are running\n")
    assert all(job_id in table for job_id in ids[:5])
    assert "web-1-0a  h" in table and "q, r" in table and "1h 1m" in table and "and 2 more" in table
    assert [job["id"] for job in as_json["jobs"]] == ids
    assert (as_json["queues"], as_json["tasks"], as_json["jobs_in_hand"]) == (["q", "r"], ["send"], 7)
