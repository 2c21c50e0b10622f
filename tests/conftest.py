"""Fixtures shared by all tests: a real database of either kind, and a clock that moves when told to.

What the engine does it does on both stores, so each test that takes `path` or `queue` runs once with a SQLite file
and once with a schema of its own in a PostgreSQL. A test of what only one of them has says so:
`@pytest.mark.sqlite("why")`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from pyqueue.testing import FakeClock
from tests import servers


def pytest_configure() -> None:
    # A shell lets what it runs in the background ignore Ctrl-C, and what a test starts would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = ["sqlite"] if metafunc.definition.get_closest_marker("sqlite") else ["sqlite", "postgresql"]
    if "store_kind" in metafunc.fixturenames:
        metafunc.parametrize("store_kind", kinds, scope="function")
    if "server_store" in metafunc.fixturenames:  # One server for all tests of a file.
        metafunc.parametrize("server_store", kinds, scope="module")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(store_kind: str, tmp_path: Path) -> Iterator[Any]:
    """Where the test's queue is kept: a file that does not exist yet, or the URL of a schema with empty tables."""
    if store_kind == "sqlite":
        yield tmp_path / "jobs.db"
    else:
        with servers.empty_schema() as url:
            yield url


@pytest.fixture
def queue(path: Path, clock: FakeClock) -> Iterator[PyQueue]:
    with PyQueue(path, clock=clock) as opened:
        yield opened
