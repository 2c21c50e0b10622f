"""`pyqueue migrate`: the schema made, and shown as SQL that makes the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
from click.testing import CliRunner, Result

from pyqueue import PyQueue
from pyqueue.cli.main import main
from tests import servers


def migrate(storage: object, *options: str) -> Result:
    return CliRunner().invoke(main, ["migrate", "--storage", str(storage), *options])


def test_it_makes_the_tables_and_then_finds_nothing_to_do(path: Path) -> None:
    first = migrate(path)
    second = migrate(path)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "migrated" in first.stderr and "up to date" in second.stderr
    assert migrate(path, "--sql").stdout == ""


def test_the_sql_makes_the_same_queue(path: Path) -> None:
    sql = migrate(path, "--sql").stdout

    run_script(path, sql)

    assert migrate(path, "--sql").stdout == ""
    with PyQueue(path) as queue:
        queue.push("q", "n", {"a": 1}, unique_key="k")
        [job] = queue.pull("q")
        queue.ack(job)
        assert queue.stats("q").completed == 1


def run_script(path: object, sql: str) -> None:
    if isinstance(path, Path):
        sqlite3.connect(path).executescript(sql)
    else:
        address, _ = servers.split(str(path))
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql.encode())
