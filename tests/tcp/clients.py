"""Clients for the tests of the TCP server, and the server process they talk to."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

_ROOT = Path(__file__).parents[2]


class Server:
    """A server process."""

    def __init__(self, file: Path | str, *arguments: str) -> None:
        self.file = file
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tcp.runner", str(file), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server did not start"
        self.port = int(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self, token: str | None = None) -> Client:
        return Client(self.port, token=token)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(10)

    def terminate(self) -> None:
        """SIGTERM: drains."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 20) -> int:
        return self._process.wait(seconds)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        if self.is_running:
            self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def serving(file: Path | str, *arguments: str) -> Iterator[Server]:
    """A server process, gone afterwards."""
    server = Server(file, *arguments)
    try:
        yield server
    finally:
        server.stop()


class Client:
    """One connection: commands out, replies in, with a deadline on each."""

    def __init__(self, port: int, *, token: str | None = None, seconds: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._file = self.socket.makefile("rb")
        if token is not None:
            assert self.call("auth", token=token) == {"ok": True}

    def wrap(self, context: ssl.SSLContext) -> None:
        """Goes on in TLS."""
        self.socket = context.wrap_socket(self.socket)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, text: bytes) -> None:
        self.socket.sendall(text)

    def reply(self) -> dict[str, Any]:
        """The next line."""
        line = self._file.readline()
        assert line.endswith(b"\n"), f"the connection ended instead of a reply: {line!r}"
        reply: dict[str, Any] = json.loads(line)
        return reply

    def ask(self, line: bytes) -> dict[str, Any]:
        """The reply to a line as it is."""
        self.send(line + b"\n")
        return self.reply()

    def call(self, cmd: str, /, **fields: Any) -> dict[str, Any]:
        return self.ask(json.dumps({"cmd": cmd, **fields}).encode())

    def is_at_end(self) -> bool:
        """The server has closed, and sent nothing more."""
        return self._file.read() == b""

    def push(self, queue: str, name: str = "n", **fields: Any) -> str:
        reply = self.call("push", queue=queue, name=name, **fields)
        assert reply["ok"], reply
        job_id: str = reply["id"]
        return job_id

    def pull(self, queue: str, **fields: Any) -> dict[str, Any]:
        """One job."""
        job: dict[str, Any] = self.call("pull", queue=queue, **fields)["job"]
        return job

    def get(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = self.call("get", id=job_id)["job"]
        return job


def code(reply: dict[str, Any]) -> str:
    """The code of an error, whose envelope has exactly the keys of the wire format."""
    assert reply["ok"] is False and set(reply) == {"ok", "error"} and set(reply["error"]) == {"code", "message"}, reply
    found: str = reply["error"]["code"]
    return found
