"""The schema: models and migrations say the same, and the indexes are used as planned."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.core.store import (
    claim,
    finish,
    flows,
    insert,
    keyed,
    lease,
    limits,
    migrations,
    queues,
    schedules,
    whole_flows,
)
from pyqueue.core.store.models import MODELS

pytestmark = pytest.mark.sqlite("the schema of a file; PostgreSQL has tests/postgres/test_schema.py")


@pytest.fixture
def connection(path: Path) -> sqlite3.Connection:
    with PyQueue(path) as queue:
        queue.stats("q")
    return sqlite3.connect(path)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_models_describe_the_tables_that_migrations_make(connection: sqlite3.Connection, model: type) -> None:
    meta = model._meta  # type: ignore[attr-defined]
    columns = {row[1]: not row[3] for row in connection.execute(f"PRAGMA table_info({meta.table_name})")}

    assert columns == {field.column_name: field.null for field in meta.sorted_fields}


def test_every_secondary_index_of_the_job_table_is_partial(connection: sqlite3.Connection) -> None:
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'pyqueue_job' AND type = 'index'"
    )

    for name, sql in indexes.fetchall():
        assert " WHERE " in sql, name


# A range of keys is walked in the table itself, whatever index the states in the statement might suggest.
_BETWEEN = "BETWEEN ? AND ?"
_BY_KEY = "USING INTEGER PRIMARY KEY"

PLANS = {
    "ready": (claim._READY, ("q", 1), "pyqueue_job_ready"),
    "claims of neighbours": (claim._CLAIM_PLAIN.format(keys=_BETWEEN), (None, *[1] * 7), _BY_KEY),
    "acks of neighbours": (finish._COMPLETE_PLAIN.format(keys=_BETWEEN), (1,) * 4, _BY_KEY),
    "looks before acks of neighbours": (finish._PLAIN_RUNS.format(keys=_BETWEEN), (1, 1), _BY_KEY),
    "promotion": (claim._PROMOTE, (1, 1, 1), "pyqueue_job_due"),
    "expiry": (claim._EXPIRED, (1, 1), "pyqueue_job_expiry"),
    "lapsed leases": (lease._LAPSED, (1, 1), "pyqueue_job_lease"),
    "unique keys": (insert._HELD_KEYS.format(marks="?"), ("q", "k"), "pyqueue_job_unique"),
    "turns of groups": (insert._LAST_RANK, ("q", "g"), "pyqueue_job_group"),
    "jobs of a key": (keyed._READY_OF_KEY, ("q", "k", 1), "pyqueue_job_keyed"),
    "turns of keys": (keyed._LAST_RANK, ("q", "k", 0), "pyqueue_job_keyed"),
    "slots": (limits._TAKEN, ("q",), "pyqueue_job_slot"),
    "slots of a key": (limits._HOLDERS_OF_KEY, ("q", "k", 1), "pyqueue_job_slot"),
    "children": (flows._BLOCKED_CHILDREN.format(marks="?"), (1,), "pyqueue_dependency_parent"),
    "counts of a flow": (whole_flows._COUNTS, ("f",), "COVERING INDEX pyqueue_job_flow_state"),
    "dead letters": (queues._KEYS_IN[5], ("q", 0, 1), "pyqueue_job_dlq"),
    "due schedules": (schedules._DUE, (1, 1), "pyqueue_schedule_due"),
    "next schedule": (schedules._NEXT_DUE, (), "pyqueue_schedule_due"),
    "blocked jobs": (queues._KEYS_IN[2], ("q", 0, 1), "pyqueue_job_blocked"),
}


@pytest.mark.parametrize("name", PLANS)
def test_hot_statements_use_their_index_and_never_scan_or_sort(connection: sqlite3.Connection, name: str) -> None:
    sql, parameters, index = PLANS[name]

    plan = "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))

    assert index in plan, plan
    assert not re.search(r"SCAN pyqueue_job(?! USING)|TEMP B-TREE", plan), plan


def test_the_keys_in_turn_are_found_by_seeks(connection: sqlite3.Connection) -> None:
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {keyed._HEADS}", ("q", "q", "q"))]

    looks = [line for line in plan if "pyqueue_job" in line or " job" in line or "head" in line]
    assert len(looks) == 4, plan
    assert all("pyqueue_job_keyed" in line or "INTEGER PRIMARY KEY" in line for line in looks), plan


def test_a_database_is_migrated_once_and_knows_its_version(path: Path) -> None:
    for _ in range(2):
        with PyQueue(path) as queue:
            queue.stats("q")

    connection = sqlite3.connect(path)
    meta = dict(connection.execute("SELECT key, value FROM pyqueue_meta"))
    connection.close()
    assert meta["schema_version"] == len(migrations.STEPS)
    assert 0 <= meta["salt"] < 1 << 53


def test_the_migrations_for_django_are_those_of_the_engine() -> None:
    folder = Path(migrations.__file__).parents[2] / "contrib" / "django" / "migrations"
    files = sorted(folder.glob("0*.py"))
    steps = [int(found[1]) for file in files if (found := re.search(r"RunSteps\((\d+)\)", file.read_text()))]

    assert max(steps) == len(migrations.STEPS), (
        "Django's users would be without the last steps: change pyqueue/contrib/django/models.py, run makemigrations, "
        f"and put its operations behind RunSteps({len(migrations.STEPS)}), as in {files[-1].name}"
    )
