"""`pyqueue serve` speaks TCP beside HTTP, on one queue, and stops both in order."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.server.process import Server, serving
from tests.tcp.clients import Client, code
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("the doors are the same for both")


def tcp_port(server: Server) -> int:
    """Where it told that it listens."""
    [port] = [found[1] for line in server.log if (found := re.match(r"tcp on .+:(\d+)$", line))]
    return int(port)


def test_what_is_pushed_by_http_is_pulled_by_tcp(path: Path) -> None:
    with serving(path) as server, Client(tcp_port(server)) as client:
        job_id = server.client().push("q", data={"a": 1})

        assert client.pull("q", wait_ms=5_000)["id"] == job_id


def test_json_that_came_in_several_lines_leaves_in_one(path: Path) -> None:
    with serving(path) as server, Client(tcp_port(server)) as client:
        body = b'{"name": "n", "data": {\n  "a":\r\n 1}}'
        server.client().send("POST", "/queues/q/jobs", body, {"Content-Type": "application/json"})

        assert client.pull("q", wait_ms=5_000)["data"] == {"a": 1}


def test_sigterm_ends_both(path: Path) -> None:
    with serving(path) as server, Client(tcp_port(server)) as client:
        client.push("q")
        client.send(b'{"cmd":"pull","queue":"none","wait_ms":60000}\n')

        server.process.send_signal(signal.SIGTERM)

        assert client.reply() == {"ok": True, "job": None} and client.is_at_end()
        client.close()
        assert eventually(lambda: server.process.poll() is not None)
        assert server.process.returncode == 0


def test_tokens_are_those_of_http(path: Path, tmp_path: Path) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    config = tmp_path / "pyqueue.toml"
    config.write_text(f'[[auth.tokens]]\nname = "worker"\nsha256 = "{digest}"\nroles = ["work"]\nqueues = ["q"]\n')
    with serving(path, "--config", str(config)) as server, Client(tcp_port(server)) as client:
        assert code(client.call("pull", queue="q")) == "UNAUTHORIZED"
        assert code(client.call("auth", token="wrong")) == "UNAUTHORIZED"
        assert client.call("auth", token="secret") == {"ok": True}
        assert client.call("pull", queue="q") == {"ok": True, "job": None}
        assert code(client.call("pull", queue="other")) == code(client.call("push", queue="q", name="n")) == "FORBIDDEN"
