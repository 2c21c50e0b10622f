"""Holding the writers of a handle, so that what is submitted meanwhile gathers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyqueue import PyQueue
from pyqueue.core.store.sqlite import SqliteStore


@contextmanager
def all_writers_taken(queue: PyQueue) -> Iterator[None]:
    """While the block runs, nobody else writes through the handle."""
    store = queue._runtime.store
    first = store.take_writer(waits=True)
    assert first is not None
    taken = [first]
    if not isinstance(store, SqliteStore):  # SQLite has one, which its thread may take again.
        while (another := store.take_writer(waits=False)) is not None:
            taken.append(another)
    try:
        yield
    finally:
        for writer in taken:
            store.give_back(writer)
