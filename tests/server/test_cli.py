"""Commands that talk to a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

from pyqueue import PyQueue
from pyqueue.cli.main import main
from pyqueue.server.tokens import digest
from tests.server.process import ENVIRONMENT, Server, serving
from tests.waiting import eventually
from tests.working import running

pytestmark = pytest.mark.sqlite("a door to the server, whatever that stores in")


class Ended(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(server: Server | None, *arguments: str, **environment: str) -> Ended:
    """A command in this process, which spares the start of one."""
    place = [] if server is None else ["--server", f"http://127.0.0.1:{server.port}"]
    own = dict.fromkeys(os.environ.keys() - ENVIRONMENT.keys())
    result = CliRunner().invoke(main, [*arguments, *place], env=own | environment)
    return Ended(result.exit_code, result.stdout, result.stderr)


def test_a_command_as_it_is_typed(server: Server, q: str) -> None:
    command = [sys.executable, "-m", "pyqueue", "push", q, "a b", "--server", f"http://127.0.0.1:{server.port}"]

    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, "alphanumeric" in ended.stderr, ended.stdout) == (2, True, "")


def test_the_life_of_a_job_through_a_server(server: Server, q: str) -> None:
    pushed = run(server, "push", q, "send", "--data", '{"to": "a"}', "--priority", "3", "--tag", "x")
    job_id = pushed.stdout.strip()

    shown = json.loads(run(server, "inspect", job_id, "--json").stdout)
    listed = run(server, "jobs", "--queue", q).stdout
    cancelled = run(server, "cancel", job_id)
    again = run(server, "retry", job_id)
    removed = run(server, "purge", q, "--yes")

    assert (pushed.returncode, shown["data"], shown["priority"], shown["tags"]) == (0, {"to": "a"}, 3, ["x"])
    assert job_id in listed
    assert (cancelled.stdout.strip(), again.returncode, removed.stdout.strip()) == ("cancelled", 0, "1")


def test_what_is_asked_about_a_job_through_a_server(server: Server, q: str) -> None:
    client = server.client()
    job_id = client.push(q)
    waiting = run(server, "explain", job_id, "--json")
    client.pull(q)
    client.post(f"/jobs/{job_id}/progress", {"progress": 1, "message": "half of it"})
    client.post(f"/jobs/{job_id}/ack")

    followed = run(server, "logs", job_id, "--follow")

    assert (waiting.returncode, json.loads(waiting.stdout)["state"]) == (0, "waiting")
    assert followed.returncode == 0 and "half of it" in followed.stdout
    assert run(server, "logs", "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e").returncode == 1


def test_many_jobs_and_flows_through_a_server(server: Server, q: str) -> None:
    for name in ("a", "a", "b"):
        server.client().push(q, name, flow_id=q)

    assert run(server, "bulk", "cancel", q, "--name", "a", "--yes").stdout.strip() == "2"
    assert run(server, "flows", "retry", q).stdout.strip() == "2"
    assert run(server, "flows", "cancel", q).stdout.strip() == "3"
    assert run(server, "flows", "delete", q, "--yes").stdout.strip() == "3"


def lines(ended: Ended) -> list[Any]:
    """What a command printed with --json."""
    assert ended.returncode == 0, ended
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_flow_is_drawn_through_a_server(server: Server, q: str) -> None:
    parent = server.client().push(q, "first", flow_id=q)
    child = server.client().push(q, "second", flow_id=q, depends_on=[parent])
    server.client().push(q, "third", flow_id=q, delay_ms=60_000)

    drawn = run(server, "flows", "show", q, "--limit", "2")
    [shown] = lines(run(server, "flows", "show", q, "--json"))

    assert drawn.stdout.splitlines()[0] == "0 of 3 ended (0 %): 1 waiting, 1 delayed, 1 blocked"
    assert f"  ○ second  blocked    {child}" in drawn.stdout and "and 1 more" in drawn.stderr
    assert (shown["progress"], shown["summary"]["delayed"], len(shown["jobs"])) == (0, 1, 3)
    assert run(server, "flows", "show", "no-such").returncode == 1


def test_limits_through_a_server(server: Server, q: str) -> None:
    for arguments in (["--concurrency", "3"], ["--key", "*", "--rate", "2.5"], ["--pushes", "--rate", "7"]):
        assert run(server, "limits", "set", q, *arguments).returncode == 0

    shown = lines(run(server, "limits", "list", q, "--json"))
    every = lines(run(server, "limits", "list", "--json"))
    cleared, again = (run(server, "limits", "clear", q, "--key", "*") for _ in range(2))

    assert [(each["key"], each["concurrency"], each["rate"]) for each in shown] == [
        (None, None, 7), (None, 3, None), ("*", None, 2.5),
    ]  # fmt: skip
    assert all(each in every for each in shown)
    assert (cleared.stderr, again.stderr, again.returncode) == ("", "there was no such limit\n", 0)
    assert run(server, "limits", "set", q, "--concurrency", "0").returncode == 2
    assert run(server, "limits", "set", q).returncode == 2


def test_schedules_through_a_server(server: Server, q: str) -> None:
    made = run(
        server, "schedules", "create", "--name", f"of {q}", "--queue", q, "--job-name", "n", "--cron", "0 3 * * *",
        "--timezone", "Europe/Zurich", "--data", '{"a": 1}', "--job-options", '{"max_attempts": 5}',
    )  # fmt: skip
    job_id = run(server, "schedules", "trigger", f"of {q}").stdout.strip()
    edited = run(server, "schedules", "edit", f"of {q}", "--max-executions", "1", "--cron", "0 4 * * *")
    paused = run(server, "schedules", "pause", f"of {q}")
    [shown] = lines(run(server, "schedules", "show", f"of {q}", "--json"))
    listed = run(server, "schedules", "list").stdout

    assert made.stdout.startswith("2") and edited.stdout.startswith("2") and paused.returncode == 0
    assert (shown["cron_expr"], shown["paused"], shown["job_options"]["max_attempts"]) == ("0 4 * * *", True, 5)
    assert len(shown["next_runs"]) == 1 and shown["next_runs"][0][10:] in ("T04:00:00+01:00", "T04:00:00+02:00")
    assert [each["job_id"] for each in shown["last_runs"]] == [job_id]
    assert server.client().get(f"/jobs/{job_id}").json["job"]["data"] == {"a": 1}
    assert "0 4 * * * (Europe/Zurich)" in listed and "paused" in listed
    assert "is on" in run(server, "schedules", "resume", f"of {q}").stderr
    assert run(server, "schedules", "delete", f"of {q}").returncode == 0
    gone = run(server, "schedules", "delete", f"of {q}")
    assert (gone.returncode, "SCHEDULE_NOT_FOUND" in gone.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "--name", "n", "--queue", "q", "--job-name", "n", "--cron", "x"), "Invalid cron"),
        (("create", "--name", "n", "--queue", "q", "--job-name", "n"), "cron_expr or every_ms"),
        (
            ("create", "--name", "n", "--queue", "q", "--job-name", "n", "--cron", "x", "--job-options", '{"x": 1}'),
            "unknown job option 'x'",
        ),
        (("edit", "n"), "nothing to change"),
        (("edit", "n", "--clear", "end"), "Did you mean 'end_at'?"),
    ],
)
def test_schedules_that_cannot_be_are_wrong_usage(server: Server, arguments: tuple[str, ...], message: str) -> None:
    ended = run(server, "schedules", *arguments)

    assert (ended.returncode, message in ended.stderr) == (2, True), ended


def test_workers_through_a_server(server: Server, q: str) -> None:
    assert run(server, "workers").stderr == "no workers are running\n"

    with PyQueue(server.path) as queue, running(queue.worker(q, lambda job: None)):
        eventually(lambda: queue.workers() != [])
        [shown], table = lines(run(server, "workers", "--json")), run(server, "workers").stdout

    assert (shown["queues"], shown["jobs"]) == ([q], [])
    assert shown["id"] in table and q in table


def test_webhooks_through_a_server(tmp_path: Path, q: str) -> None:
    with serving(tmp_path / "jobs.db", PYQUEUE_WEBHOOKS_ENABLED="1") as server:
        made = run(server, "webhooks", "create", "https://example.com/hook", "--event", "job.failed", "--queue", q)
        webhook_id = made.stdout.strip()
        edited = run(server, "webhooks", "edit", webhook_id, "--stopped", "--url", "https://example.com/other")
        [shown] = lines(run(server, "webhooks", "list", "--json"))
        tested = run(server, "webhooks", "test", webhook_id)
        deleted, again = (run(server, "webhooks", "delete", webhook_id) for _ in range(2))
        wrong = run(server, "webhooks", "create", "https://example.com/", "--event", "job_slept")

    assert (made.returncode, edited.returncode, deleted.returncode) == (0, 0, 0)
    assert (shown["url"], shown["active"], shown["events"]) == ("https://example.com/other", False, ["job_failed"])
    assert len(tested.stdout.strip()) == 36
    assert (again.returncode, "WEBHOOK_NOT_FOUND" in again.stderr) == (1, True)
    assert (wrong.returncode, "job_slept" in wrong.stderr) == (2, True)


def test_a_server_without_webhooks_says_so(server: Server) -> None:
    ended = run(server, "webhooks", "list")

    assert (ended.returncode, "set enabled under [webhooks]" in ended.stderr) == (1, True)


def test_every_command_on_a_queue_works_through_a_server() -> None:
    of_storages = {"serve", "token", "backup", "copy", "doctor", "migrate", "worker"}

    def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
        for name, command in group.commands.items():
            yield from commands(command) if isinstance(command, click.Group) else [(name, command)]

    without = {name for name, command in commands(main) if "server" not in {each.name for each in command.params}}

    assert without == of_storages


def test_status_and_pauses_through_a_server(server: Server, q: str) -> None:
    run(server, "push", q, "n")
    run(server, "pause", q)

    [line] = [line for line in run(server, "status").stdout.splitlines() if q in line]

    assert "pushes" in line
    assert run(server, "push", q, "n").returncode == 1
    assert run(server, "resume", q).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("push", "q", "a b"), 2, "alphanumeric"),
        (("inspect", "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"), 1, "JOB_NOT_FOUND"),
        (("inspect", "x"), 2, "not a UUID"),
        (("pause", "a b"), 2, "alphanumeric"),
        (("status", "--storage", "jobs.db"), 2, "both --storage and --server"),
    ],
)
def test_what_fails_has_its_status_and_one_line(
    server: Server, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ended = run(server, *arguments)

    assert ended.returncode == code
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_server_that_is_not_there_is_told() -> None:
    ended = run(None, "status", "--server", "http://127.0.0.1:9")

    assert (ended.returncode, "no server answers" in ended.stderr) == (1, True)


def test_no_place_at_all_is_wrong_usage() -> None:
    assert run(None, "status").returncode == 2


def test_a_token_is_taken_from_the_environment(tmp_path: Path) -> None:
    token = "pq_" + "x" * 32
    (tmp_path / "s.toml").write_text(f"[[auth.tokens]]\nname='a'\nsha256='{digest(token)}'\nroles=['read']")
    with serving(tmp_path / "jobs.db", "--config", str(tmp_path / "s.toml")) as server:
        without, with_one = run(server, "status"), run(server, "status", PYQUEUE_TOKEN=token)
        wrong = run(server, "status", PYQUEUE_TOKEN="pq_" + "y" * 32)
        not_allowed = run(server, "push", "q", "n", PYQUEUE_TOKEN=token)

    assert (without.returncode, "PYQUEUE_TOKEN. (UNAUTHORIZED)" in without.stderr) == (1, True)
    assert (wrong.returncode, "Invalid" in wrong.stderr) == (1, True)
    assert with_one.returncode == 0
    assert (not_allowed.returncode, "FORBIDDEN" in not_allowed.stderr) == (1, True)
