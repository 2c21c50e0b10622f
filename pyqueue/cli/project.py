"""The commands inside those of a framework, which knows the place of its project's queue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyqueue.core.config import MEMORY
from pyqueue.core.errors import ConfigError

_PLACES: Final = {"PYQUEUE_STORAGE", "PYQUEUE_SERVER", "PYQUEUE_TOKEN"}


@contextmanager
def placed(url: str) -> Iterator[None]:
    """Within the block the commands work on the queue at this URL.

    It is in the environment, where others do not see a password as they would in the arguments of a process.

    Raises:
        ConfigError: no other process can see it.
    """
    if url == MEMORY:
        raise ConfigError("this database is in memory, where a command cannot see it; ask the queue itself.")
    before = {name: os.environ.pop(name) for name in _PLACES & os.environ.keys()}
    os.environ["PYQUEUE_STORAGE"] = url
    try:
        yield
    finally:
        del os.environ["PYQUEUE_STORAGE"]
        os.environ.update(before)
