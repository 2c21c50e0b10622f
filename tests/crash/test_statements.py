"""Statement n fails, for every n of each operation: all or nothing each time, and the next try succeeds."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import peewee
import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import DuplicateKey, StorageError
from pyqueue.core.store import connection
from pyqueue.core.store.transaction import Transaction
from pyqueue.testing import FakeClock
from tests.crash.scenarios import SCENARIOS, Prepared, prepare
from tests.waiting import eventually

Dump = dict[str, list[tuple[Any, ...]]]


class FaultyConnection(sqlite3.Connection):
    """A connection of which statement `fails_at` fails once, before or after it was carried out."""

    fails_at: ClassVar[int] = 0
    fails_after: ClassVar[bool] = False
    _count: ClassVar[int] = 0

    @classmethod
    def arm(cls, number: int, *, after: bool = False) -> None:
        cls.fails_at, cls.fails_after, cls._count = number, after, 0

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        cls = type(self)
        if cls.fails_at:
            cls._count += 1
            if cls._count == cls.fails_at:
                cls.fails_at = 0
                # What a COMMIT has done before its error is not known: SQLite fails it undone.
                if cls.fails_after and sql != "COMMIT":
                    super().execute(sql, parameters)
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
        return super().execute(sql, parameters)


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SqliteDatabase", partial(peewee.SqliteDatabase, factory=FaultyConnection))
    FaultyConnection.arm(0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_an_operation_interrupted_at_any_statement_leaves_no_trace(name: str, after: bool, tmp_path: Path) -> None:
    prepared = _prepared_file(tmp_path)
    before = _dump(tmp_path / "0.db")
    expected = _outcome_of_undisturbed_run(tmp_path, name, prepared)
    for number in range(1, 200):
        path = _copy(tmp_path, f"{number}")
        with PyQueue(path, clock=_clock_after_preparation()) as queue:
            queue.stats("q")
            FaultyConnection.arm(number, after=after)
            try:
                SCENARIOS[name](queue, prepared)
                break
            except StorageError:
                # Operations of several transactions may have finished some; each of those is whole.
                assert _dump(path) == before or name in MULTIPLE

            if name not in MULTIPLE:
                SCENARIOS[name](queue, prepared)
        if name not in MULTIPLE:
            assert _dump(path) == expected, f"statement {number}"
    FaultyConnection.arm(0)
    assert number > 3, "nothing was ever made to fail"
    assert name in MULTIPLE or _dump(path) == expected


# Made of several transactions, one after the other: a failure keeps those before it.
MULTIPLE = ("removal of old jobs", "retry_dlq", "purge", "housekeep")


def test_a_storage_error_in_a_group_loses_no_acknowledged_push_and_keeps_no_refused_one(path: Path) -> None:
    for number in range(1, 30):
        with PyQueue(path) as queue:
            before = queue.stats("q").total
            outcomes = _push_together(queue, ["a", "b", "c"], arm=number)
            was_disturbed = FaultyConnection.fails_at == 0
            FaultyConnection.arm(0)
            acknowledged = [outcome for outcome in outcomes if isinstance(outcome, str)]
            assert queue.stats("q").total == before + len(acknowledged)
            assert all(queue.get_job(job_id) for job_id in acknowledged)
            assert len(outcomes) == 3
        if not was_disturbed:
            break
    assert number > 3, "nothing was ever made to fail"


class _WritesAndFails:
    """An operation that fails after it has written."""

    durable = True

    def run(self, tx: Transaction) -> None:
        tx.execute("DELETE FROM pyqueue_job")
        raise ZeroDivisionError("a bug")


def test_an_operation_that_fails_half_way_is_undone_alone(path: Path) -> None:
    with PyQueue(path) as queue:
        kept = queue.push("q", "kept")
        outcomes: list[Any] = []

        async def submit() -> None:
            outcomes.extend(
                await asyncio.gather(
                    queue.apush("q", "one"),
                    queue._runtime.awrite(_WritesAndFails()),
                    queue.apush("q", "two", unique_key="k"),
                    queue.apush("q", "three", unique_key="k"),
                    queue.apush("q", "four"),
                    return_exceptions=True,
                )
            )

        asyncio.run(submit())

        one, bug, two, duplicate, four = outcomes
        assert isinstance(bug, ZeroDivisionError)
        assert isinstance(duplicate, DuplicateKey)
        assert {job.id for job in queue.list_jobs().jobs} == {kept, one, two, four}
        assert queue.stats("q").waiting == 4


def _push_together(queue: PyQueue, names: Sequence[str], *, arm: int) -> list[Any]:
    """Pushes from as many threads while the writer is busy, so that they share a group."""
    outcomes: list[Any] = []

    def push(name: str) -> None:
        try:
            outcomes.append(queue.push("q", name, {}, priority=1))
        except StorageError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=push, args=(name,)) for name in names]
    committer = queue._runtime._committer
    with queue._runtime.store.lock:
        for thread in threads:
            thread.start()
        eventually(lambda: len(committer._pending) == len(names))
        FaultyConnection.arm(arm)
    for thread in threads:
        thread.join()
    return outcomes


def _prepared_file(folder: Path) -> Prepared:
    clock = FakeClock()
    with PyQueue(folder / "0.db", clock=clock) as queue:
        return prepare(queue, clock)


def _clock_after_preparation() -> FakeClock:
    clock = FakeClock()
    clock.advance(ms=2)
    return clock


def _copy(folder: Path, name: str) -> Path:
    return Path(shutil.copy(folder / "0.db", folder / f"{name}.db"))


def _outcome_of_undisturbed_run(folder: Path, name: str, prepared: Prepared) -> Dump:
    path = _copy(folder, "expected")
    with PyQueue(path, clock=_clock_after_preparation()) as queue:
        SCENARIOS[name](queue, prepared)
    return _dump(path)


def _dump(path: Path) -> Dump:
    opened = sqlite3.connect(path)
    tables = [row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    dump = {table: opened.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
    opened.close()
    return dump
