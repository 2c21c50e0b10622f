"""A TCP server for the tests of a module, on SQLite and on PostgreSQL; a connection to it; a queue for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.servers import storage_for_module
from tests.tcp.clients import Client, Server, serving

_numbers = count()


@pytest.fixture(scope="module")
def tcp_server(server_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with (
        storage_for_module(server_store, tmp_path_factory) as storage,
        serving(storage, "--durability", "process") as server,
    ):
        yield server


@pytest.fixture
def client(tcp_server: Server) -> Iterator[Client]:
    with tcp_server.client() as client:
        yield client


@pytest.fixture
def q() -> str:
    """A queue of its own for each test."""
    return f"q{next(_numbers)}"
