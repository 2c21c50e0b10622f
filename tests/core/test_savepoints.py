"""The caller's transaction, in all the ways it can begin, end, and end in part."""

from __future__ import annotations

import inspect
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import peewee
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from pyqueue import BoundQueue, JobState, PyQueue, signals
from pyqueue.core.errors import DuplicateKey, QueueClosed, SchemaTooNew, StorageBusy, ValidationError
from pyqueue.core.signals import JobChange
from pyqueue.testing import FakeClock

pytestmark = pytest.mark.sqlite("the transactions of sqlite3; PostgreSQL has tests/postgres/test_joined.py")


@pytest.fixture
def pushed(queue: PyQueue) -> Iterator[list[str]]:
    """The ids announced by `job_pushed`, and the guarantee that each job is there when it is announced."""
    ids: list[str] = []

    def receive(sender: PyQueue, change: JobChange) -> None:
        ids.append(sender.get_job(change.job_id).id)

    with signals.job_pushed.connected_to(receive, sender=queue):
        yield ids


def names(queue: PyQueue) -> list[str]:
    return sorted(job.name for job in queue.list_jobs().jobs)


def announced(queue: PyQueue, ids: list[str]) -> list[str]:
    assert queue._runtime.announcer.drain(5)
    return [queue.get_job(job_id).name for job_id in ids]


def engine_of(path: Path) -> sqlalchemy.Engine:
    """As SQLAlchemy's documents advise for savepoints: the driver begins nothing, the engine does."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")

    @sqlalchemy.event.listens_for(engine, "connect")
    def leave_it_to_us(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@pytest.mark.parametrize("isolation", ["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
def test_the_first_push_of_all_rolls_back_with_its_tables(path: Path, isolation: Any) -> None:
    """A savepoint alone made sqlite3 commit at its end, since it begins nothing before it."""
    connection = sqlite3.connect(path, isolation_level=isolation)
    with PyQueue(path) as queue:
        queue.on(connection).push("q", "n")
        assert connection.in_transaction
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        connection.close()

        assert names(queue) == []


def test_the_first_push_of_all_through_sqlalchemy_rolls_back_with_its_tables(path: Path) -> None:
    with PyQueue(path) as queue, sqlalchemy.create_engine(f"sqlite:///{path}").connect() as connection:
        queue.on(connection).push("q", "n")
        connection.rollback()

        assert names(queue) == []


def test_concurrent_transactions_wait_for_each_other(path: Path) -> None:
    """Each took a snapshot before the write lock, and was refused when another had written in between."""
    with PyQueue(path, durability="process") as queue:
        queue.push("q", "first")

        def push_fifty() -> None:
            connection = sqlite3.connect(path, isolation_level=None, timeout=30)
            for _ in range(50):
                connection.execute("BEGIN")
                queue.on(connection).push("q", "n")
                connection.execute("COMMIT")
            connection.close()

        threads = [threading.Thread(target=push_fifty) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert queue.stats("q").waiting == 301


def test_rows_made_for_the_caller_are_no_trouble(queue: PyQueue, path: Path) -> None:
    queue.push("q", "holder", unique_key="k")
    connection = sqlite3.connect(path)
    connection.row_factory = lambda cursor, row: dict(zip([each[0] for each in cursor.description], row, strict=True))

    bound = queue.on(connection)
    job_id = bound.push("q", "n", tags=["t"], group_id="g")
    with pytest.raises(DuplicateKey):
        bound.push("q", "n", unique_key="k")
    connection.commit()

    assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}, "the caller's factory is still in place"
    connection.close()
    assert queue.get_job(job_id).tags == ("t",)


def test_a_session_that_rolls_back_and_goes_on_announces_only_what_it_kept(
    queue: PyQueue, path: Path, clock: FakeClock, pushed: list[str]
) -> None:
    queue.push("q", "first")
    with Session(engine_of(path)) as session:
        queue.on(session).push("q", "undone")
        session.rollback()
        clock.advance(ms=1)
        queue.on(session).push("q", "kept")
        session.commit()
        clock.advance(ms=1)
        queue.on(session).push("q", "kept-too")
        session.commit()

    assert announced(queue, pushed) == ["first", "kept", "kept-too"]


def test_a_session_with_savepoints_announces_at_its_commit_what_is_there(
    queue: PyQueue, path: Path, clock: FakeClock, pushed: list[str]
) -> None:
    queue.push("q", "first")
    with Session(engine_of(path)) as session:
        with session.begin_nested():
            queue.on(session).push("q", "kept")
        clock.advance(ms=1)
        with session.begin_nested() as inner:
            queue.on(session).push("q", "undone")
            inner.rollback()
        assert announced(queue, pushed) == ["first"]
        session.commit()

    assert announced(queue, pushed) == ["first", "kept"]
    assert names(queue) == ["first", "kept"]


def test_peewee_savepoints_announce_at_the_outer_commit_what_is_there(
    queue: PyQueue, path: Path, clock: FakeClock, pushed: list[str]
) -> None:
    database = peewee.SqliteDatabase(str(path))
    with database.atomic():
        with database.atomic():
            queue.on(database).push("q", "kept")
        clock.advance(ms=1)
        with database.atomic() as inner:
            queue.on(database).push("q", "undone")
            inner.rollback()
    with database.atomic() as outer:
        queue.on(database).push("q", "undone")
        outer.rollback()
    with database.atomic():
        pass
    database.close()

    assert announced(queue, pushed) == ["kept"]


@pytest.mark.parametrize("mode", ["manual_commit", "raw"])
def test_transactions_begun_behind_the_back_of_peewee_work_without_signals(
    queue: PyQueue, path: Path, pushed: list[str], mode: str
) -> None:
    database = peewee.SqliteDatabase(str(path))
    database.connect()
    with database.manual_commit() if mode == "manual_commit" else nullcontext():
        database.begin()
        queue.on(database).push("q", "undone")
        database.rollback()
        database.begin()
        queue.on(database).push("q", "kept")
        database.commit()
    database.close()

    assert names(queue) == ["kept"]
    assert announced(queue, pushed) == []


def test_an_ack_rolled_back_is_not_announced_and_the_job_still_runs(queue: PyQueue, path: Path) -> None:
    job_id = queue.push("q", "n")
    [job] = queue.pull("q")
    completed: list[str] = []
    with signals.job_completed.connected_to(lambda _, change: completed.append(change.job_id), sender=queue):
        with Session(engine_of(path)) as session:
            queue.on(session).ack(job, "undone")
            session.rollback()
            assert queue.get_job(job_id).state is JobState.ACTIVE
            queue.on(session).ack(job, "done")
            session.commit()
        assert queue._runtime.announcer.drain(5)

    assert queue.get_job(job_id).result == "done"
    assert completed == [job_id]


def test_an_ack_of_a_parent_releases_its_children_with_the_commit(queue: PyQueue, path: Path) -> None:
    parent = queue.push("p", "parent", remove_on_complete=True)
    child = queue.push("q", "child", depends_on=[parent])
    connection = sqlite3.connect(path)
    queue.on(connection).ack(queue.pull("p")[0])
    assert queue.get_job(child).state is JobState.BLOCKED

    connection.commit()
    connection.close()

    assert [job.id for job in queue.pull("q")] == [child]
    assert queue.stats("p").total == 0


def test_a_child_may_depend_on_a_parent_of_the_same_transaction(queue: PyQueue, path: Path) -> None:
    connection = sqlite3.connect(path)
    bound = queue.on(connection)
    parent = bound.push("p", "parent")
    child = bound.push("q", "child", depends_on=[parent])
    connection.commit()
    connection.close()

    assert queue.get_job(child).state is JobState.BLOCKED
    assert queue.get_job(child).depends_on == (parent,)


def test_a_wrong_push_touches_nothing(queue: PyQueue, path: Path) -> None:
    connection = sqlite3.connect(path)
    with pytest.raises(ValidationError):
        queue.on(connection).push("q", "n", priority="high")  # type: ignore[arg-type]  # that is the mistake

    assert not connection.in_transaction
    connection.close()


def test_a_lock_held_by_another_is_reported_and_the_transaction_goes_on(queue: PyQueue, path: Path) -> None:
    queue.push("q", "first")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    connection = sqlite3.connect(path, timeout=0.05)
    bound = queue.on(connection)
    with pytest.raises(StorageBusy, match="locked"):
        bound.push("q", "n")
    other.execute("COMMIT")
    other.close()

    bound.push("q", "second")
    connection.commit()
    connection.close()

    assert names(queue) == ["first", "second"]


def test_a_newer_schema_is_refused_and_leaves_no_savepoint_behind(queue: PyQueue, path: Path) -> None:
    queue.push("q", "first")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    version = connection.execute("SELECT value FROM pyqueue_meta WHERE key = 'schema_version'").fetchone()
    connection.execute("UPDATE pyqueue_meta SET value = 99 WHERE key = 'schema_version'")

    with pytest.raises(SchemaTooNew, match="99"):
        queue.on(connection).push("q", "n")

    connection.execute("UPDATE pyqueue_meta SET value = ? WHERE key = 'schema_version'", version)
    connection.execute("INSERT INTO mine VALUES (1)")
    queue.on(connection).push("q", "second")
    connection.commit()
    assert connection.execute("SELECT count(*) FROM mine").fetchone() == (1,)
    connection.close()
    assert names(queue) == ["first", "second"]


def test_a_closed_handle_says_so(path: Path) -> None:
    queue = PyQueue(path)
    queue.close()
    connection = sqlite3.connect(path)

    with pytest.raises(QueueClosed):
        queue.on(connection)
    connection.close()


def test_the_calls_are_those_of_the_handle() -> None:
    for name in ("push", "push_many", "ack", "ack_many"):
        assert inspect.signature(getattr(BoundQueue, name)) == inspect.signature(getattr(PyQueue, name)), name
