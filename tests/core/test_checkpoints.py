"""The write-ahead log: copied into the file beside the callers, and kept from growing without end."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

import pyqueue.core.store.checkpoint as checkpoint
from pyqueue import PyQueue
from pyqueue.core.store.sqlite import SqliteStore
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("its write-ahead log")


def test_the_log_is_cut_while_one_writes_on_and_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_COMMITS", 50)
    monkeypatch.setattr(checkpoint, "_CUT_BYTES", 1_000_000)
    cuts, length = 0, 0
    with PyQueue(path, durability="process") as queue:
        for _ in range(10_000):  # Some tens of times what it needs.
            queue.push_many("q", [{"name": "n", "data": "x" * 500}] * 20)
            before, length = length, os.path.getsize(f"{path}-wal")
            cuts += length < before
            if cuts == 5:
                break

    assert cuts == 5


def test_a_checkpoint_that_waits_comes_before_what_the_same_writer_writes_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_GIVE_WAY_SECONDS", 30.0)
    came: list[str] = []
    with PyQueue(path) as queue:
        store = queue._runtime.store
        assert isinstance(store, SqliteStore)

        def checkpoint_once() -> None:
            with store._checkpointer._turn():
                came.append("checkpoint")

        for _ in range(20):
            writer = store.take_writer(waits=True)
            assert writer is not None
            thread = threading.Thread(target=checkpoint_once)
            thread.start()
            eventually(lambda: store._checkpointer.waits_for_writers, what="a checkpoint that waits")

            store.give_back(writer)
            assert store.take_writer(waits=True) is not None
            came.append("writer")

            store.give_back(writer)
            thread.join()

    assert came == ["checkpoint", "writer"] * 20


def test_a_reader_that_stays_holds_the_log_back_only_as_long_as_it_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_COMMITS", 20)
    monkeypatch.setattr(checkpoint, "_CUT_BYTES", 500_000)
    with PyQueue(path, durability="process") as queue:
        queue.push("q", "n")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM pyqueue_job").fetchone() == (1,)
        for _ in range(100):
            queue.push_many("q", [{"name": "n", "data": "x" * 1_000}] * 20)
        assert os.path.getsize(f"{path}-wal") > 500_000
        assert reader.execute("SELECT count(*) FROM pyqueue_job").fetchone() == (1,)
        reader.close()

        def is_short() -> bool:
            queue.push("q", "n")
            return os.path.getsize(f"{path}-wal") <= 500_000

        eventually(is_short, what="a short log")
