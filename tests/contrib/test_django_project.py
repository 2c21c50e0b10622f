"""Django: transactions, tests, models and settings of a project, on either kind of database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyqueue import PyQueue
from pyqueue.core.store.models import MODELS, MetaRow
from tests import servers
from tests.contrib.django_shop import Shop, shop_on

pytest.importorskip("django")


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with shop_on(request.param, tmp_path) as made:
        yield made


def test_the_shop_finds_its_queue_as_it_expects(shop: Shop) -> None:
    done = shop.manage("test", "shop", "--pattern", "scenarios.py", "--timing")

    assert "OK" in done.stderr


def test_the_backend_keeps_the_contract_of_django_tasks(shop: Shop) -> None:
    done = shop.manage("test", "shop", "--pattern", "scenarios_of_tasks.py")

    assert "OK" in done.stderr


def test_the_admin_shows_jobs_and_acts_on_them(shop: Shop) -> None:
    done = shop.manage("test", "shop", "--pattern", "scenarios_of_admin.py")

    assert "OK" in done.stderr


def test_migrate_makes_what_the_engine_makes(shop: Shop, tmp_path: Path) -> None:
    shop.manage("migrate", "--verbosity", "0", "--run-syncdb")

    if shop.url.endswith("shop.db"):
        ours = tmp_path / "ours.db"
        with PyQueue(ours) as queue:
            queue.stats("q")
        assert _sqlite_schema(shop.url) == _sqlite_schema(str(ours))
    else:
        with servers.empty_schema() as url:
            address, schema = servers.split(url)
            assert _postgres_schema(shop.url, "public") == _postgres_schema(address, schema)


def test_other_apps_are_migrated_without_our_tables(shop: Shop) -> None:
    shop.manage("migrate", "auth", "--verbosity", "0")


def test_migrate_accepts_what_the_engine_has_made(shop: Shop) -> None:
    made = shop.code("from pyqueue.contrib.django import queue; print(queue.worker_url())").strip()
    with PyQueue(made) as queue:
        pushed = queue.push("default", "send-receipt", {"order_id": 1})

    shop.manage("migrate", "--verbosity", "0", "--run-syncdb")

    assert shop.code(f"from pyqueue.contrib.django import queue; print(queue.get_job({pushed!r}).state)") == "waiting\n"


def test_each_table_of_the_engine_has_a_model_with_its_columns(shop: Shop) -> None:
    said = shop.code(
        "import json; from django.apps import apps\n"
        "def columns(model): return [field for field in model._meta.local_concrete_fields if field.name != 'pk']\n"
        "print(json.dumps({model._meta.db_table: {field.column: field.null for field in columns(model)}"
        " for model in apps.get_app_config('pyqueue').get_models()}))"
    )

    assert json.loads(said) == {
        model._meta.table_name: {field.column_name: field.null for field in model._meta.sorted_fields}
        for model in MODELS
        if model is not MetaRow
    }


def test_a_database_of_another_kind_is_an_error_that_names_the_ways_out(shop: Shop) -> None:
    legacy = Shop({"ENGINE": "shop.legacy", "NAME": "legacy"}, "")

    said = shop.with_jobs_in(legacy).run("-m", "django", "check", fails=True).stderr

    assert "pyqueue.E002" in said and "'mysql'" in said
    assert "PYQUEUE = {'STORAGE': 'jobs.db'}" in said and "{'DATABASE': 'jobs'}" in said


def test_an_alias_whose_models_are_looked_for_elsewhere_is_warned_of(shop: Shop) -> None:
    apart = Shop(
        shop.database,
        shop.url,
        SHOP_JOBS_DATABASE=json.dumps(shop.database),
        SHOP_NO_ROUTER="1",
        SHOP_PYQUEUE='{"DATABASE": "jobs"}',
    )

    assert "pyqueue.W002" in apart.manage("check").stderr


def test_without_tables_a_push_says_what_to_run(shop: Shop) -> None:
    said = shop.code(
        "from shop.tasks import send_receipt\n"
        "try: send_receipt.push(1)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    assert said.startswith("ConfigError")
    assert "manage.py migrate" in said


def _sqlite_schema(path: str) -> list[Any]:
    connection = sqlite3.connect(path)
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name LIKE 'pyqueue%' ORDER BY type, name"
    ).fetchall()
    connection.close()
    return found


def _postgres_schema(url: str, schema: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = %s AND table_name LIKE 'pyqueue%%' ORDER BY 1, 3",
            [schema],
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexname, replace(indexdef, schemaname || '.', '') FROM pg_indexes"
            " WHERE schemaname = %s AND tablename LIKE 'pyqueue%%' ORDER BY 1",
            [schema],
        ).fetchall()
        checks = connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = %s::regnamespace"
            " AND conname LIKE 'pyqueue%%' ORDER BY 1, 2",
            [schema],
        ).fetchall()
    return [*columns, *indexes, *checks]


def test_on_postgresql_what_a_connection_repeats_is_prepared_unless_its_log_is_read(tmp_path: Path) -> None:
    with shop_on("postgresql", tmp_path) as shop:
        shop.manage("migrate")
        said = shop.code(
            """
from django.db import connection, transaction
from pyqueue.contrib.django import queue
from pyqueue.contrib.django.host import DjangoHost

def push(number):
    with transaction.atomic():
        return queue.push("q", "n", {"number": number})

def prepared():
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]

connection.force_debug_cursor = True
ids = [push(number) for number in range(10)]
print(len(prepared()), any("EXECUTE" in query["sql"] for query in connection.queries))
connection.force_debug_cursor = False
ids += [push(number) for number in range(10, 20)]
[statement] = prepared()
print("pyqueue_job" in statement, [queue.get_job(job).data["number"] for job in ids] == list(range(20)))

host = DjangoHost("default")
with transaction.atomic():  # A guess that is wrong costs nothing of the transaction.
    for number in range(6):
        [sum] = host.execute_sql("SELECT ? + array_length(ARRAY[1, 2]::int[], ?)", (number, 1)).fetchone()
print(sum, any("array_length" in statement for statement in prepared()))
connection.close()
push(20)
print(len(prepared()))
"""
        )

    assert said.split() == ["0", "False", "True", "True", "7", "False", "0"]
