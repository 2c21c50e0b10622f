"""A TCP server for the tests of a module, a connection to it, and a queue of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.tcp.clients import Client, Server, serving

_numbers = count()


@pytest.fixture(scope="module")
def tcp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tcp") / "jobs.db", "--durability", "process") as server:
        yield server


@pytest.fixture
def client(tcp_server: Server) -> Iterator[Client]:
    with tcp_server.client() as client:
        yield client


@pytest.fixture
def q() -> str:
    """A queue of its own for each test."""
    return f"q{next(_numbers)}"
