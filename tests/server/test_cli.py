"""Commands that talk to a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pyqueue.server.tokens import digest
from tests.server.process import ENVIRONMENT, Server, serving

pytestmark = pytest.mark.sqlite("a door to the server, whatever that stores in")


def run(server: Server | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    place = [] if server is None else ["--server", f"http://127.0.0.1:{server.port}"]
    command = [sys.executable, "-m", "pyqueue", *arguments, *place]
    return subprocess.run(
        command, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=30, check=False
    )


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
        not_allowed = run(server, "push", "q", "n", PYQUEUE_TOKEN=token)

    assert (without.returncode, "UNAUTHORIZED" in without.stderr) == (1, True)
    assert with_one.returncode == 0
    assert (not_allowed.returncode, "FORBIDDEN" in not_allowed.stderr) == (1, True)
