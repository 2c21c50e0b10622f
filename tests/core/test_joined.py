"""Pushing and acknowledging inside the caller's own transaction."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import ConfigError, DuplicateKey

pytestmark = pytest.mark.sqlite("connections to a file; PostgreSQL has tests/postgres/test_joined.py")

ORDER = "INSERT INTO orders (item) VALUES ('tea')"


class Door:
    """A kind of connection: how to get one, and how to end its transaction."""

    def __init__(self, name: str, open_: Callable[[Path], Any], execute: Callable[[Any, str], object]) -> None:
        self.name, self._open, self._execute = name, open_, execute

    @contextmanager
    def connect(self, path: Path) -> Iterator[Any]:
        connection = self._open(path)
        try:
            yield connection
        finally:
            self.rollback(connection)
            connection.close()

    def execute(self, connection: Any, sql: str) -> None:
        self._execute(connection, sql)

    def commit(self, connection: Any) -> None:
        connection.session_commit() if isinstance(connection, peewee.Database) else connection.commit()

    def rollback(self, connection: Any) -> None:
        connection.session_rollback() if isinstance(connection, peewee.Database) else connection.rollback()


def _peewee(path: Path) -> peewee.SqliteDatabase:
    database = peewee.SqliteDatabase(str(path))
    database.connect()
    database.session_start()
    return database


def _engine(path: Path) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(f"sqlite:///{path}")


DOORS = [
    Door("sqlite3", lambda path: sqlite3.connect(path), lambda connection, sql: connection.execute(sql)),
    Door("peewee", _peewee, lambda connection, sql: connection.execute_sql(sql)),
    Door("sqlalchemy", lambda path: _engine(path).connect(), lambda connection, sql: connection.exec_driver_sql(sql)),
    Door("session", lambda path: Session(_engine(path)), lambda session, sql: session.execute(sqlalchemy.text(sql))),
]


@pytest.fixture(params=DOORS, ids=lambda door: door.name)
def door(request: pytest.FixtureRequest) -> Door:
    door: Door = request.param
    return door


@pytest.fixture
def shop(path: Path) -> Iterator[PyQueue]:
    """A queue in the database of an application with a table of its own."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (item TEXT)")
    connection.close()
    with PyQueue(path) as queue:
        queue.stats("q")
        yield queue


def orders(path: Path) -> int:
    connection = sqlite3.connect(path)
    count: int = connection.execute("SELECT count(*) FROM orders").fetchone()[0]
    connection.close()
    return count


def test_a_commit_keeps_both_and_the_id_is_known_before(shop: PyQueue, path: Path, door: Door) -> None:
    with door.connect(path) as connection:
        door.execute(connection, ORDER)
        job_id = shop.on(connection).push("q", "receipt", {"n": 1}, tags=["t"])
        assert shop.stats("q").total == 0
        door.commit(connection)

    assert shop.get_job(job_id).data == {"n": 1}
    assert orders(path) == 1


def test_a_rollback_takes_both_back(shop: PyQueue, path: Path, door: Door) -> None:
    with door.connect(path) as connection:
        door.execute(connection, ORDER)
        shop.on(connection).push_many("q", [{"name": "receipt"}] * 3)
        door.rollback(connection)

    assert shop.queues() == []
    assert orders(path) == 0


def test_a_refused_push_leaves_the_transaction_usable(shop: PyQueue, path: Path, door: Door) -> None:
    shop.push("q", "holder", unique_key="k")
    with door.connect(path) as connection:
        door.execute(connection, ORDER)
        with pytest.raises(DuplicateKey):
            shop.on(connection).push_many("q", [{"name": "a"}, {"name": "b", "unique_key": "k"}])
        shop.on(connection).push("q", "receipt")
        door.commit(connection)

    assert [job.name for job in shop.list_jobs().jobs] == ["receipt", "holder"]
    assert orders(path) == 1


def test_an_ack_commits_with_what_the_job_has_done(shop: PyQueue, path: Path, door: Door) -> None:
    shop.push_many("q", [{"name": "n"}] * 2)
    job, other = shop.pull("q", count=2)
    with door.connect(path) as connection:
        door.execute(connection, ORDER)
        shop.on(connection).ack(job, "done")
        assert shop.get_job(job).state is JobState.ACTIVE
        [result] = shop.on(connection).ack_many([other])
        assert result.ok
        door.commit(connection)

    assert shop.get_job(job).result == "done"
    assert shop.stats("q").completed == 2


def test_a_push_in_a_new_file_makes_the_tables_and_a_rollback_removes_them(path: Path, door: Door) -> None:
    with PyQueue(path) as queue:
        with door.connect(path) as connection:
            door.execute(connection, "CREATE TABLE orders (item TEXT)")
            queue.on(connection).push("q", "n")
            door.rollback(connection)
        with door.connect(path) as connection:
            door.execute(connection, "CREATE TABLE IF NOT EXISTS orders (item TEXT)")
            job_id = queue.on(connection).push("q", "n")
            door.commit(connection)

        assert queue.get_job(job_id).state is JobState.WAITING


def test_a_waiting_worker_is_woken_by_the_commit(shop: PyQueue, path: Path, door: Door) -> None:
    pulled: list[float] = []
    waiting = threading.Thread(target=lambda: pulled.extend(time.monotonic() for _ in shop.pull("q", wait_ms=10_000)))
    waiting.start()
    with door.connect(path) as connection:
        shop.on(connection).push("q", "n")
        door.commit(connection)
    committed = time.monotonic()
    waiting.join()

    assert len(pulled) == 1
    assert pulled[0] - committed < 5


def test_another_database_is_refused(shop: PyQueue, tmp_path: Path, door: Door) -> None:
    with door.connect(tmp_path / "other.db") as connection, pytest.raises(ConfigError, match=r"other\.db.*same file"):
        shop.on(connection).push("q", "n")


def test_another_kind_of_connection_is_refused(shop: PyQueue) -> None:
    with pytest.raises(ConfigError, match="expected a peewee Database"):
        shop.on("jobs.db")


@pytest.mark.parametrize("isolation", [None, "", "IMMEDIATE", "EXCLUSIVE"])
def test_every_transaction_mode_of_sqlite3_works(shop: PyQueue, path: Path, isolation: Any) -> None:
    connection = sqlite3.connect(path, isolation_level=isolation)
    shop.on(connection).push("q", "a")
    if isolation is None:
        assert shop.stats("q").total == 1, "without a transaction a push commits by itself"
        connection.execute("BEGIN")
    shop.on(connection).push("q", "b")
    connection.rollback()
    connection.close()

    assert shop.stats("q").total == (1 if isolation is None else 0)


def test_an_inner_savepoint_rolled_back_takes_its_push_along(shop: PyQueue, path: Path) -> None:
    database = _peewee(path)
    with database.atomic():
        shop.on(database).push("q", "kept")
        with database.atomic() as inner:
            shop.on(database).push("q", "undone")
            inner.rollback()
    database.session_commit()
    database.close()

    assert [job.name for job in shop.list_jobs().jobs] == ["kept"]
