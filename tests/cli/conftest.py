"""Where the commands work."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyqueue import PyQueue


@pytest.fixture
def storage(path: Path) -> str:
    """A storage with a queue in it, as commands are given it."""
    with PyQueue(path) as queue:
        queue.stats("q")
    return str(path)
