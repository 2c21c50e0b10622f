"""`queue.on(connection)`: the caller's transaction in PostgreSQL, through each kind of connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import peewee
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from pyqueue import PyQueue
from pyqueue.core import signals
from pyqueue.core.errors import ConfigError, DuplicateKey, JobNotFound
from tests import servers
from tests.waiting import eventually


class Door(NamedTuple):
    """A kind of connection: opened, made to run a statement, committed, rolled back."""

    name: str
    open: Callable[[str], Any]
    execute: Callable[[Any, str], Any]
    commit: Callable[[Any], Any]
    rollback: Callable[[Any], Any]


def _engine(address: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))


def _peewee(address: str) -> peewee.PostgresqlDatabase:
    parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(address)
    database = peewee.PostgresqlDatabase(parts.pop("dbname"), **parts)
    database.connect()
    database.begin()
    return database


DOORS = [
    Door("psycopg", psycopg.connect, lambda c, sql: c.execute(sql), lambda c: c.commit(), lambda c: c.rollback()),
    Door(
        "sqlalchemy",
        lambda address: _engine(address).connect(),
        lambda c, sql: c.exec_driver_sql(sql),
        lambda c: c.commit(),
        lambda c: c.rollback(),
    ),
    Door(
        "session",
        lambda address: Session(_engine(address)),
        lambda c, sql: c.connection().exec_driver_sql(sql),
        lambda c: c.commit(),
        lambda c: c.rollback(),
    ),
    Door("peewee", _peewee, lambda c, sql: c.execute_sql(sql), lambda c: c.commit(), lambda c: c.rollback()),
]


@pytest.fixture(params=DOORS, ids=lambda door: door.name)
def door(request: pytest.FixtureRequest) -> Door:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def theirs(door: Door, url: str, pg: PyQueue, connection: psycopg.Connection) -> Iterator[Any]:
    """The caller's connection, to a database with a table of his."""
    address, schema = servers.split(url)
    pg.stats("q")
    connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    opened = door.open(address)
    door.execute(opened, f"SET search_path TO {schema}")
    yield opened
    opened.close()


def test_a_commit_keeps_both_and_the_id_is_known_before(
    door: Door, theirs: Any, pg: PyQueue, connection: psycopg.Connection
) -> None:
    door.execute(theirs, "INSERT INTO orders VALUES (1)")
    job_id = pg.on(theirs).push("q", "receipt", {"order": 1}, tags=["a"])
    with pytest.raises(JobNotFound):
        pg.get_job(job_id)

    door.commit(theirs)

    assert pg.get_job(job_id).data == {"order": 1}
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_a_rollback_takes_both_back(door: Door, theirs: Any, pg: PyQueue, connection: psycopg.Connection) -> None:
    door.execute(theirs, "INSERT INTO orders VALUES (1)")
    pg.on(theirs).push_many("q", [{"name": "n"}] * 200)

    door.rollback(theirs)

    assert pg.stats("q").total == 0
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_an_ack_commits_with_what_the_job_has_done(door: Door, theirs: Any, pg: PyQueue) -> None:
    pg.push("q", "n")
    [job] = pg.pull("q")

    door.execute(theirs, "INSERT INTO orders VALUES (1)")
    pg.on(theirs).ack(job, {"done": True})
    assert pg.get_job(job).state == "active"
    door.commit(theirs)

    assert pg.get_job(job).result == {"done": True}


def test_a_refused_push_leaves_the_transaction_usable(door: Door, theirs: Any, pg: PyQueue) -> None:
    pg.push("q", "n", unique_key="k")

    door.execute(theirs, "INSERT INTO orders VALUES (1)")
    with pytest.raises(DuplicateKey):
        pg.on(theirs).push("q", "n", unique_key="k")
    pg.on(theirs).push("q", "n", unique_key="other")
    door.commit(theirs)

    assert pg.stats("q").waiting == 2


def test_a_waiting_worker_is_woken_by_the_commit(door: Door, theirs: Any, pg: PyQueue, url: str) -> None:
    came: list[Any] = []
    with PyQueue(url) as worker:
        thread = threading.Thread(target=lambda: came.extend(worker.pull("q", wait_ms=10_000)))
        thread.start()
        eventually(lambda: worker._runtime.wakeups._bell.port)
        pg.on(theirs).push("q", "n")

        door.commit(theirs)

        thread.join()
    assert len(came) == 1


def test_without_a_transaction_each_call_commits_by_itself(url: str, pg: PyQueue) -> None:
    address, _ = servers.split(url)
    with psycopg.connect(address, autocommit=True) as theirs:
        job_id = pg.on(theirs).push("q", "n")

        assert pg.get_job(job_id).state == "waiting"


def test_a_session_tells_of_its_commit_and_signals_follow_it(url: str, pg: PyQueue) -> None:
    address, _ = servers.split(url)
    heard: list[Any] = []

    def hear(_: Any, *, change: Any) -> None:
        heard.append(change.job_id)

    signals.job_pushed.connect(hear, sender=pg)
    with Session(_engine(address)) as session:
        pg.on(session).push("q", "n")
        session.rollback()
        kept = pg.on(session).push("q", "n")
        assert not heard
        session.commit()

        eventually(lambda: heard == [kept])


def test_another_database_is_refused(url: str, pg: PyQueue) -> None:
    address, _ = servers.split(url)
    pg.stats("q")
    with servers.new_schema() as other, PyQueue(other) as another, psycopg.connect(address) as theirs:
        another.stats("q")
        assert another.on(theirs).push("q", "n")  # The schema is in its URL, not in the connection.
        theirs.rollback()
    with psycopg.connect(address, dbname="template1") as elsewhere, pytest.raises(ConfigError, match="same one"):
        pg.on(elsewhere)


def test_another_kind_of_connection_is_refused(pg: PyQueue) -> None:
    with pytest.raises(ConfigError, match="psycopg connection"):
        pg.on(object())
