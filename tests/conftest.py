"""Fixtures shared by all tests: a real SQLite file and a clock that moves when told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's queue is kept; the file does not exist yet."""
    return tmp_path / "jobs.db"


@pytest.fixture
def queue(path: Path, clock: FakeClock) -> Iterator[PyQueue]:
    with PyQueue(path, clock=clock) as opened:
        yield opened
