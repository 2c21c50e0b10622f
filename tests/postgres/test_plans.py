"""Which plan the server makes of the statements of a pull and an ack when it knows nothing about the tables."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pyqueue import PyQueue
from pyqueue.core.store import claim, finish
from pyqueue.core.store.dialect import for_postgres
from pyqueue.core.store.postgres.connection import Location, PostgresConnection
from tests import servers

_KEYS = "{1,2,3}"
_READY, _BY_KEY = "pyqueue_job_ready", "pyqueue_job_pkey"
_OF_DUE = {"pyqueue_job_due", "pyqueue_job_expiry", "pyqueue_job_lease"}
PLANS: dict[str, tuple[str, tuple[Any, ...], set[str]]] = {
    "what is due": (f"SELECT {', '.join(claim._ANYTHING_DUE)}", (1, 1, 1), _OF_DUE),
    "take": (claim._TAKE_SOME, ("w", 1, 1, 1, 1, 1, "q", 50), {_READY}),
    "take at once": (claim._TAKE_IF_FREE, ("w", 1, 1, 1, 1, 1, "q", 1, 1, 1, "q", 50), {_READY, *_OF_DUE}),
    "acks": (finish._COMPLETE_ALIKE, (1, 1, None, _KEYS, 1), {_BY_KEY}),
    "acks that differ": (finish._COMPLETE_EACH, (1, 1, _KEYS, _KEYS, _KEYS, _KEYS), {_BY_KEY}),
}


@pytest.fixture
def young(pg: PyQueue, connection: psycopg.Connection) -> PyQueue:
    """A queue with some thousand jobs, some of them done, in a table that was never looked through."""
    pg.stats("q")
    connection.execute("ALTER TABLE pyqueue_job SET (autovacuum_enabled = off)")
    pg.push_many("q", [{"name": "n", "data": number} for number in range(4_000)])
    pg.ack_many(pg.pull("q", count=1_000))
    return pg


@pytest.mark.parametrize("name", PLANS)
def test_a_table_that_was_never_analyzed_is_not_read_as_a_whole(
    name: str, young: PyQueue, connection: psycopg.Connection
) -> None:
    sql, parameters, indexes = PLANS[name]

    rows = psycopg.RawCursor(connection).execute(f"EXPLAIN {for_postgres(sql, None)}".encode(), parameters).fetchall()

    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan on pyqueue_job" not in plan, plan
    assert {index for index in (_READY, _BY_KEY, *_OF_DUE) if index in plan} == indexes, plan


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_made_while_the_table_was_empty_is_right_when_it_is_full(
    name: str, url: str, pg: PyQueue, connection: psycopg.Connection
) -> None:
    sql, parameters, indexes = PLANS[name]
    pg.stats("q")
    connection.execute("VACUUM ANALYZE pyqueue_job")  # Now the server takes it for empty, however it grows.
    address, schema = servers.split(url)
    ours = PostgresConnection(Location(address, schema))

    try:
        rows = ours.raw.execute(f"EXPLAIN {for_postgres(sql, schema)}", parameters).fetchall()
    finally:
        ours.close()

    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan on pyqueue_job" not in plan and "Bitmap" not in plan, plan
    assert all(index in plan for index in indexes), plan
