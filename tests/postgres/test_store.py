"""What the store on PostgreSQL promises beyond what the engine does: its URL, its commits, its notices, its schema."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from pyqueue import PyQueue
from pyqueue.core.config import postgres_location
from pyqueue.core.errors import ConfigError, DuplicateKey, PyQueueError, StorageError
from pyqueue.core.store import claim, insert, lease, positions, wakeup
from pyqueue.core.store.dialect import ddl_for_postgres, for_postgres
from pyqueue.core.store.models import MODELS
from pyqueue.core.store.postgres import writer
from pyqueue.core.store.postgres.connection import PostgresConnection
from pyqueue.core.store.postgres.statements import Answer
from tests import servers
from tests.waiting import eventually


def test_what_differs_in_a_statement_is_unpacked_and_tables_are_qualified() -> None:
    sql = "SELECT /*lite*/min/*pg least*/(?, 1) FROM pyqueue_job WHERE queue = ? /*pg FOR UPDATE*/"

    assert for_postgres(sql, "s") == 'SELECT least($1, 1) FROM "s".pyqueue_job WHERE queue = $2  FOR UPDATE'
    assert for_postgres(sql, None, "%s") == "SELECT least(%s, 1) FROM pyqueue_job WHERE queue = %s  FOR UPDATE"
    assert for_postgres('SELECT "t1"."id" FROM "pyqueue_job" AS "t1"', "s").endswith('FROM "s".pyqueue_job AS "t1"')
    assert for_postgres("CREATE INDEX pyqueue_job_x ON pyqueue_job (id)", "s").endswith('x ON "s".pyqueue_job (id)')
    assert ddl_for_postgres("ALTER TABLE pyqueue_x ADD COLUMN result TEXT").endswith("result JSON")


@pytest.mark.parametrize("query", ["schema=", "pool_size=0", "pool_size=x", "pooler=session", "nonsense=1"])
def test_a_url_with_what_nobody_understands_is_refused(query: str) -> None:
    with pytest.raises(ConfigError):
        postgres_location(f"postgresql://127.0.0.1/x?{query}")


def test_without_the_driver_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"pip install 'pyqueue-jobs\[postgres\]'"):
        PyQueue("postgresql://127.0.0.1/x")


def test_a_password_is_never_shown() -> None:
    queue = PyQueue("postgresql://me:secret@127.0.0.1:1/x?connect_timeout=1")

    assert "secret" not in repr(queue) + queue.path


@pytest.mark.parametrize("is_kept", [True, False], ids=["after it was done", "before it was done"])
def test_a_commit_whose_answer_is_lost_is_looked_for(
    pg: PyQueue, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    pg.push("q", "first")
    run, cuts = PostgresConnection.execute_and_commit, iter([True])

    def cut_off(self: PostgresConnection, sql: str, params: Sequence[Any]) -> Answer:
        if not next(cuts, False):
            return run(self, sql, params)
        if is_kept:
            run(self, sql, params)
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(PostgresConnection, "execute_and_commit", cut_off)
    job_id = pg.push("q", "n", unique_key="k")

    assert pg.get_job(job_id).name == "n"
    assert pg.stats("q").waiting == 2


def test_a_commit_that_cannot_be_looked_for_says_so(pg: PyQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    pg.push("q", "first")

    def cut_off(self: PostgresConnection, _sql: str, _params: Sequence[Any]) -> Answer:
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def unreachable() -> PostgresConnection:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(writer, "_LOOK_SECONDS", 0.3)
    monkeypatch.setattr(PostgresConnection, "execute_and_commit", cut_off)
    monkeypatch.setattr(pg._runtime.store, "connect", unreachable)

    with pytest.raises(StorageError, match="could not be learnt"):
        pg.push("q", "n")


def test_of_many_that_push_one_unique_key_at_once_one_succeeds(pg: PyQueue) -> None:
    pg.stats("q")
    outcomes: list[str] = []

    def push() -> None:
        try:
            outcomes.append(pg.push("q", "n", unique_key="k"))
        except DuplicateKey:
            outcomes.append("refused")

    threads = [threading.Thread(target=push) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("refused") == 11
    assert pg.stats("q").waiting == 1


def test_pulls_side_by_side_never_get_one_job_twice(url: str, pg: PyQueue) -> None:
    pg.push_many("q", [{"name": "n"}] * 400)
    taken: list[str] = []

    def pull(queue: PyQueue) -> None:
        while jobs := queue.pull("q", count=7):
            taken.extend(job.id for job in jobs)

    with PyQueue(url) as other:
        threads = [threading.Thread(target=pull, args=(queue,)) for queue in (pg, other) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(taken) == len(set(taken)) == 400


def test_children_of_parents_that_end_at_the_same_time_are_released_once(pg: PyQueue) -> None:
    for _ in range(15):
        parents = [pg.push("parents", "n") for _ in range(4)]
        child = pg.push("children", "n", depends_on=parents)
        jobs = pg.pull("parents", count=4)
        threads = [threading.Thread(target=pg.ack, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert pg.get_job(child).state == "waiting"
    assert pg.stats("children").waiting == 15


def test_a_parent_that_ends_while_its_child_arrives_does_not_leave_it_blocked(pg: PyQueue) -> None:
    pg.stats("q")
    for _ in range(30):
        parent = pg.push("parents", "n")
        [job] = pg.pull("parents")
        thread = threading.Thread(target=pg.ack, args=(job,))
        thread.start()
        child = pg.push("children", "n", depends_on=[parent])
        thread.join()

        assert pg.get_job(child).state == "waiting"


def test_readers_beside_transactions_that_stay_open_miss_nothing(url: str, pg: PyQueue) -> None:
    address, _ = servers.split(url)
    start = pg.events().position
    with psycopg.connect(address) as slow:
        held_back = pg.on(slow).push("q", "slow")
        after = [pg.push("q", "n") for _ in range(3)]
        page = pg.events(start)
        assert [change.job_id for change in page.changes if change.job_id in after] == []
        assert pg.stats("q").waiting == 3

        slow.commit()

    assert {change.job_id for change in pg.events(page.position).changes} == {held_back, *after}
    assert pg.stats("q").waiting == 4


def test_a_worker_elsewhere_is_woken_by_a_notice_without_a_poll(
    url: str, pg: PyQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "_POLL_SECONDS", 60.0)
    came: list[Any] = []
    with PyQueue(url) as worker:
        thread = threading.Thread(target=lambda: came.extend(worker.pull("q", wait_ms=30_000)))
        thread.start()
        eventually(lambda: worker._runtime.wakeups._bell.port)
        eventually(lambda: not worker._runtime.wakeups._waiters or pg.stats("q").total == 0)
        pg.push("q", "n")
        thread.join(10)
        assert len(came) == 1
        monkeypatch.undo()


def test_json_is_read_by_sql(pg: PyQueue, connection: psycopg.Connection) -> None:
    pg.push("q", "n", {"to": "user@a.com", "nested": [1.0, {"z": 1}]}, tags=["x"])

    row = connection.execute("SELECT data ->> 'to', data #>> '{nested,0}', tags ->> 0 FROM pyqueue_job").fetchone()

    assert row == ("user@a.com", "1.0", "x")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_models_describe_the_tables(model: Any, pg: PyQueue, connection: psycopg.Connection) -> None:
    pg.stats("q")
    found = connection.execute(
        "SELECT column_name, is_nullable = 'YES' FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = %s",
        [model._meta.table_name],
    ).fetchall()

    assert dict(found) == {field.column_name: field.null for field in model._meta.sorted_fields}


PLANS = {
    "ready": (claim._READY, ("q", 1), "pyqueue_job_ready"),
    "promotion": (claim._PROMOTE, (1, 1, 1), "pyqueue_job_due"),
    "lapsed leases": (lease._LAPSED, (1, 1), "pyqueue_job_lease"),
    "unique keys": (insert._HELD_KEYS.format(marks="?"), ("q", "k"), "pyqueue_job_unique"),
}


@pytest.mark.parametrize("name", PLANS)
def test_hot_statements_use_their_index_and_never_sort(name: str, pg: PyQueue, connection: psycopg.Connection) -> None:
    sql, parameters, index = PLANS[name]
    pg.stats("q")
    connection.execute("SET enable_seqscan = off")
    connection.execute("SET enable_bitmapscan = off")

    cursor = psycopg.RawCursor(connection)
    rows = cursor.execute(f"EXPLAIN {for_postgres(sql, None)}".encode(), parameters).fetchall()

    plan = "\n".join(row[0] for row in rows)
    assert index in plan, plan
    assert "Sort" not in plan, plan


def test_a_lock_that_is_never_given_up_ends_in_an_error_that_says_so(url: str, connection: psycopg.Connection) -> None:
    with PyQueue(f"{url}&options=-c%20lock_timeout%3D200") as queue:
        queue.push("q", "n")
        [job] = queue.pull("q")
        with connection.transaction():
            connection.execute("SELECT 1 FROM pyqueue_job FOR UPDATE")

            with pytest.raises(PyQueueError, match="locked for too long"):
                queue.ack(job)

        queue.ack(job)


@pytest.mark.parametrize("start", [10, 2**31 - 3, 2**31 + 3, 5 * 2**31], ids=str)
@pytest.mark.parametrize("ahead", [-5, 0, 5])
def test_the_log_is_settled_up_to_the_oldest_who_writes_and_never_back_from_there(
    pg: PyQueue, connection: psycopg.Connection, start: int, ahead: int
) -> None:
    """A writer may have begun while we look, where the sequence stood a little later than we have read."""
    pg.push("q", "n")
    connection.execute("SELECT setval('pyqueue_position', %s)", [start])
    connection.execute(
        "SELECT pg_advisory_lock_shared('pyqueue_position'::regclass::oid::int4, %s)", [(start + ahead) & (2**31 - 1)]
    )

    assert pg._runtime.read(positions.settled) == start + min(ahead, 0)
