"""Clients that do as RustQueue's published ones do: in Python here, in Node and Go as programs told what to call."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.published.client import PythonClient, Refused
from tests.server.conftest import q, server
from tests.server.process import Server

__all__ = ["q", "server"]

_HERE = Path(__file__).parent
KINDS = ("python-http", "node-http", "node-tcp", "go-http", "go-tcp")


class Sdk(Protocol):
    def call(self, name: str, /, *given: Any) -> Any: ...
    def close(self) -> None: ...


# A server, and a token or none.
Connect = Callable[[Server, str | None], Sdk]


class Program:
    """A client in another language: each call is a line, and so is what came of it."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._calls, self._answers = self._process.stdin, self._process.stdout

    def call(self, name: str, /, *given: Any) -> Any:
        self._calls.write(json.dumps([name, *given]) + "\n")
        self._calls.flush()
        line = self._answers.readline()
        assert line, f"the client ended at {name}"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["value"]

    def close(self) -> None:
        self._calls.close()
        self._process.wait(10)
        self._answers.close()


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program in Go."""
    if shutil.which("go") is None:
        pytest.skip("NO GO: apt-get install golang-go")
    program = str(tmp_path_factory.mktemp("go") / "client")
    subprocess.run(["go", "build", "-o", program, str(_HERE / "client.go")], check=True, timeout=300)
    return program


@pytest.fixture(scope="session")
def node() -> str:
    """Node, which has had fetch since 18."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("NO NODE: apt-get install nodejs")
    return found


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(kind: str, request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of a kind."""
    language, transport = kind.split("-")
    opened: list[Sdk] = []

    def connected(server: Server, token: str | None = None) -> Sdk:
        port = server.tcp_port if transport == "tcp" else server.port
        if language == "python":
            client: Sdk = PythonClient("127.0.0.1", port, token)
        else:
            node = [request.getfixturevalue("node"), str(_HERE / "client.mjs")]
            program = node if language == "node" else [request.getfixturevalue("go_client")]
            client = Program(*program, transport, "127.0.0.1", str(port), *([] if token is None else [token]))
        opened.append(client)
        return client

    yield connected
    for client in opened:
        client.close()


@pytest.fixture
def sdk(connect: Connect, server: Server) -> Sdk:
    return connect(server, None)
