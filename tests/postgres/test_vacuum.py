"""Dead rows of jobs are removed by housekeeping, before the server comes by."""

from __future__ import annotations

import psycopg
import pytest

from pyqueue import PyQueue
from pyqueue.core.store.postgres import vacuum
from pyqueue.core.store.postgres.store import PostgresStore
from tests.waiting import eventually

_VACUUMS = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relid = 'pyqueue_job'::regclass"
_DEAD = _VACUUMS.replace("vacuum_count", "n_dead_tup")


def figure(connection: psycopg.Connection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def store_of(queue: PyQueue) -> PostgresStore:
    store = queue._runtime.store
    assert isinstance(store, PostgresStore)
    return store


def run_jobs(queue: PyQueue, number: int) -> None:
    queue.push_many("q", [{"name": "n"}] * number)
    queue.ack_many(queue.pull("q", count=number))


def test_many_dead_rows_are_removed(
    pg: PyQueue, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "_DEAD_MIN", 500)
    pg.stats("q")
    connection.execute("ALTER TABLE pyqueue_job SET (autovacuum_enabled = off)")
    run_jobs(pg, 1_000)

    def tidy_until_vacuumed() -> bool:
        pg.stats("q")
        store_of(pg).tidy()  # The server's figures are a second old.
        return figure(connection, _VACUUMS) > 0

    eventually(tidy_until_vacuumed, seconds=30)

    eventually(lambda: figure(connection, _DEAD) == 0)


def test_a_vacuum_that_is_under_way_ends_with_the_queue(
    url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "_DEAD_MIN", 0)
    monkeypatch.setattr(vacuum, "_VACUUM", "SELECT pg_sleep(600)")
    queue = PyQueue(url)
    queue.stats("q")
    store_of(queue).tidy()
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    eventually(lambda: figure(connection, sleeps) == 1)

    queue.close()

    eventually(lambda: figure(connection, sleeps) == 0)
