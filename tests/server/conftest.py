"""One server for all tests of a file, which keep to queues of their own: on SQLite, and again on PostgreSQL.

A file whose tests are about the process, not about what it answers, says so: `pytestmark = pytest.mark.sqlite("why")`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.server.process import Client, Server, serving
from tests.server.wire import DOORS, Wire
from tests.servers import storage_for_module


@pytest.fixture(scope="module")
def server(server_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with (
        storage_for_module(server_store, tmp_path_factory) as storage,
        serving(storage, "--durability", "process") as running,
    ):
        yield running


@pytest.fixture
def client(server: Server) -> Client:
    return server.client()


@pytest.fixture
def q() -> str:
    """The name of a queue that no other test uses."""
    return "q-" + secrets.token_hex(6)


@pytest.fixture(params=list(DOORS))
def wire(request: pytest.FixtureRequest, server: Server) -> Iterator[Wire]:
    """The server through one of its doors."""
    opened = DOORS[request.param](server)
    yield opened
    opened.close()
