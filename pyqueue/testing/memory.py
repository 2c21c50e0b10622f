"""A handle of the application, on a database in memory for as long as a test takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyqueue.core.clock import Clock
from pyqueue.core.queue import PyQueue


@contextmanager
def in_memory(queue: PyQueue, *, clock: Clock | None = None) -> Iterator[PyQueue]:
    """Within the block the handle, whoever holds it, works on a new database in memory; its own is not touched.

    Tasks, wraps and signals stay as they are. `clock`: the time there, such as a `FakeClock`.
    """
    with queue.lent_to_memory(clock=clock):
        yield queue
