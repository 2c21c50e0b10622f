"""Workers sleep by the clock of the machine, so their queues do too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyqueue import PyQueue


@pytest.fixture
def queue(path: Path) -> Iterator[PyQueue]:
    with PyQueue(path) as opened:
        yield opened
