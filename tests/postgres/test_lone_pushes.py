"""A push alone: one statement, which looks for itself whether the queue takes it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import QueuePaused, RateLimited
from pyqueue.core.store.postgres import ahead, doors
from pyqueue.core.store.postgres.statements import Answer, Statements
from tests import servers

ORDER = 'INSERT INTO "{}".orders VALUES (1)'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were run on connections of ours, each a round trip."""
    seen: list[str] = []
    run, run_plain = Statements.run, Statements.run_plain

    def noted(self: Statements, sql: str, params: Any, **around: bool) -> Answer:
        seen.append(sql)
        return run(self, sql, params, **around)

    def noted_plain(self: Statements, sql: bytes) -> None:
        seen.append(sql.decode())
        run_plain(self, sql)

    monkeypatch.setattr(Statements, "run", noted)
    monkeypatch.setattr(Statements, "run_plain", noted_plain)
    return seen


def test_a_lone_push_is_one_round_trip_a_pull_and_an_ack_are_two(pg: PyQueue, run: list[str]) -> None:
    def round_trips(does: Callable[[], Any]) -> tuple[int, Any]:
        before = len(run)
        result = does()
        return len(run) - before, result

    pg.push("q", "n")
    first, _ = round_trips(lambda: pg.push("q", "n", {"a": 1}, priority=3))
    second, [job] = round_trips(lambda: pg.pull("q"))
    third, _ = round_trips(lambda: pg.ack(job))

    assert (first, second, third) == (1, 2, 2)
    assert (job.data, job.priority) == ({"a": 1}, 3)


def test_a_push_into_a_callers_transaction_is_one_statement(
    pg: PyQueue, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    execute = doors._Psycopg.execute_sql
    pg.push("q", "n")

    def noted(self: Any, sql: str, params: Any = None) -> Any:
        seen.append(sql)
        return execute(self, sql, params)

    with psycopg.connect(servers.split(url)[0]) as theirs:
        bound = pg.on(theirs)
        monkeypatch.setattr(doors._Psycopg, "execute_sql", noted)
        bound.push("q", "n")

    assert len(seen) == 1
    assert pg.stats("q").waiting == 2


def test_what_another_process_says_about_the_queue_holds_at_once(pg: PyQueue, url: str) -> None:
    pg.push("q", "n")
    with PyQueue(url) as other:
        other.pause("q", pushes=True)
        for _ in range(2):
            with pytest.raises(QueuePaused):
                pg.push("q", "n")

        other.resume("q")
        pg.push("q", "n")
        other.set_push_limit("q", rate=1, per_ms=3_600_000)
        pg.push("q", "n")
        with pytest.raises(RateLimited):
            pg.push("q", "n")
    assert pg.stats("q").waiting == 3


def test_a_pause_leaves_the_callers_transaction_as_it_was(
    pg: PyQueue, url: str, connection: psycopg.Connection
) -> None:
    address, schema = servers.split(url)
    pg.push("q", "n")
    connection.execute("CREATE TABLE orders (id int)")
    with PyQueue(url) as other:
        other.pause("q", pushes=True)
    with psycopg.connect(address) as theirs:
        theirs.execute(ORDER.format(schema).encode())
        with pytest.raises(QueuePaused):
            pg.on(theirs).push("q", "n")

    assert connection.execute("SELECT id FROM orders").fetchall() == [(1,)]
    assert pg.stats("q").waiting == 1


def test_a_group_that_another_process_begins_is_not_overtaken_for_ever(pg: PyQueue, url: str) -> None:
    pg.push("q", "first")
    with PyQueue(url) as other:
        other.push_many("q", [{"name": f"of-a-group-{number}", "group_id": "g"} for number in range(3)])
    pg.push("q", "last")

    names = [job.name for job in pg.pull("q", count=9)]
    assert names == ["first", "of-a-group-0", "last", "of-a-group-1", "of-a-group-2"]


def test_ids_ascend_from_push_to_push_and_none_comes_twice(pg: PyQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [pg.push("q", "n") for _ in range(70)]
    ids += pg.push_many("q", [{"name": "n"}] * 70)
    ids += [pg.push("q", "n") for _ in range(3)]
    monkeypatch.setattr(ahead, "_KEPT_SECONDS", -1.0)
    ids += [pg.push("q", "n") for _ in range(70)]

    assert ids == sorted(set(ids))


def test_a_forked_child_has_keys_of_its_own(pg: PyQueue) -> None:
    pg.push("q", "n")
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_push_some, args=(pg,)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in range(20):
        pg.push("q", "n")
    for child in children:
        child.join(30)

    assert [child.exitcode for child in children] == [0, 0]
    assert pg.stats("q").waiting == 61


def _push_some(queue: PyQueue) -> None:
    for _ in range(20):
        queue.push("q", "n")


def test_a_connection_that_the_server_has_ended_is_replaced_before_it_is_used(
    pg: PyQueue, connection: psycopg.Connection, run: list[str]
) -> None:
    pg.push("q", "n")
    pg.push("q", "n")
    pid = pg._runtime.store._idle[-1].connection().backend_pid  # type: ignore[attr-defined]
    connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    run.clear()
    pg.push("q", "n")

    assert len(run) == 1
    assert pg.stats("q").waiting == 3
