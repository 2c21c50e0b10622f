"""A server as a process: started, stopped, killed, beside others."""

from __future__ import annotations

import http.client
import json
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pyqueue import PyQueue
from tests.server.process import ENVIRONMENT, Client, Server, serving
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("the process and its signals, whatever it stores in")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def test_sigterm_ends_long_polls_and_the_server(path: Path, q: str) -> None:
    with serving(path) as server, ThreadPoolExecutor() as pool:
        waiting = pool.submit(server.client().pull, q, "?wait_ms=60000")
        eventually(lambda: _listeners(path), what="the pull to wait")
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(15) == 0
        assert waiting.result(5) == {"ok": True, "job": None}
    assert any("stopped" in line for line in server.log)


def _listeners(path: Path) -> int:
    """How many processes wait for something in the database."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM pyqueue_listener").fetchone()[0])


def test_a_waiting_pull_whose_client_leaves_takes_no_job(server: Server, q: str) -> None:
    with pytest.raises(TimeoutError):
        _pull_and_leave(server.port, q)
    job_id = server.client().push(q)

    job = eventually(lambda: server.client().pull(q)["job"], what="the job to be there for others")

    assert job["id"] == job_id


def _pull_and_leave(port: int, q: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.3)
    try:
        connection.request("GET", f"/api/v1/queues/{q}/jobs?wait_ms=30000")
        connection.getresponse()
    finally:
        connection.close()


def test_a_waiting_pull_is_woken_by_another_process(server: Server, q: str) -> None:
    with ThreadPoolExecutor() as pool, PyQueue(server.path) as queue:
        waiting = pool.submit(server.client().pull, q, "?wait_ms=20000")
        job_id = queue.push(q, "n")

        assert waiting.result(15)["job"]["id"] == job_id


def test_probes_tell_life_and_readiness(client: Client) -> None:
    assert client.send("GET", "/live", base="").status == 200
    assert client.send("GET", "/ready", base="").status == 200


def test_several_servers_serve_one_file(path: Path, q: str) -> None:
    with serving(path) as first, serving(path) as second:
        ids = [client.push(q) for client in (first.client(), second.client())]
        pulled = [client.pull(q)["job"]["id"] for client in (second.client(), first.client())]

    assert pulled == ids


def test_housekeeping_runs_in_the_server(client: Client, q: str) -> None:
    job_id = client.push(q, backoff_delay_ms=0, max_attempts=1)
    client.pull(q, "?lease_ms=10")

    eventually(lambda: client.get(f"/jobs/{job_id}").json["job"]["state"] == "dlq", what="the lease to end")


def test_a_log_of_json_has_the_request_id_and_no_payload(path: Path, q: str) -> None:
    with serving(path, "--log-format", "json", "--log-level", "debug") as server:
        body = json.dumps({"name": "n", "data": {"secret": "hidden-in-the-payload"}}).encode()
        headers = {"Content-Type": "application/json", "X-Request-Id": "r-1"}
        server.client().send("POST", f"/queues/{q}/jobs", body, headers)

        line = eventually(lambda: next((line for line in server.log if "r-1" in line), None), what="the log line")

    record = json.loads(line or "")
    assert (record["request_id"], record["status"], record["method"]) == ("r-1", 201, "POST")
    assert "hidden-in-the-payload" not in "".join(server.log)


def test_a_port_that_is_taken_is_told(server: Server, path: Path) -> None:
    command = [sys.executable, "-m", "pyqueue", "serve", "--storage", str(path), "--http-port", str(server.port)]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 2
    assert "cannot listen" in ended.stderr
