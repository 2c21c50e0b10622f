"""One server for all tests of a file, which keep to queues of their own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import Client, Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(Path(tmp_path_factory.mktemp("server")) / "jobs.db", "--durability", "process") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Client:
    return server.client()


@pytest.fixture
def q() -> str:
    """The name of a queue that no other test uses."""
    return "q-" + secrets.token_hex(6)
