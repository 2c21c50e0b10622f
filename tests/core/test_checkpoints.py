"""The write-ahead log: copied into the file beside the callers, and kept from growing without end."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

import pyqueue.core.store.checkpoint as checkpoint
from pyqueue import PyQueue
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("its write-ahead log")


def test_the_log_is_bounded_under_constant_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_COMMITS", 50)
    monkeypatch.setattr(checkpoint, "_CUT_BYTES", 1_000_000)
    largest = 0
    with PyQueue(path, durability="process") as queue:
        for _ in range(600):
            queue.push_many("q", [{"name": "n", "data": "x" * 500}] * 20)
            largest = max(largest, os.path.getsize(f"{path}-wal"))
        written = os.path.getsize(path)

    assert written > 5_000_000, "the file has received the jobs"
    assert largest < written, "the log was begun anew while jobs were written"


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
