"""`pyqueue migrate`: the schema made, and shown as SQL that makes the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from pyqueue import PyQueue
from pyqueue.cli.main import main
from tests import servers


@pytest.fixture
def path(store_kind: str, tmp_path: Path) -> Iterator[object]:
    """A storage that does not exist yet."""
    if store_kind == "sqlite":
        yield tmp_path / "jobs.db"
    else:
        with servers.new_schema() as url:
            yield url


def migrate(storage: object, *options: str) -> Result:
    return CliRunner().invoke(main, ["migrate", "--storage", str(storage), *options])


def test_it_makes_the_tables_and_then_finds_nothing_to_do(path: object) -> None:
    first = migrate(path)
    second = migrate(path)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "migrated" in first.stderr and "up to date" in second.stderr
    assert migrate(path, "--sql").stdout == ""


def test_the_sql_makes_the_same_queue(path: object) -> None:
    sql = migrate(path, "--sql").stdout

    run_script(path, sql)

    assert migrate(path, "--sql").stdout == ""
    with PyQueue(str(path)) as queue:
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


COMMANDS_THAT_LOOK = [
    ["status"],
    ["jobs"],
    ["limits", "list"],
    ["schedules", "list"],
    ["workers"],
    ["pause", "q"],
]


@pytest.mark.parametrize("command", [*COMMANDS_THAT_LOOK, ["doctor"]], ids=" ".join)
def test_commands_that_look_make_no_tables(command: list[str]) -> None:
    with servers.new_schema() as url:
        result = CliRunner().invoke(main, [*command, "--storage", url])
        address, schema = servers.split(url)
        with psycopg.connect(address) as connection:
            made = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchall()

    assert result.exit_code == 2
    assert "there is no queue in" in result.stderr and f"schema={schema}" in result.stderr
    assert made == []


@pytest.mark.parametrize("command", [*COMMANDS_THAT_LOOK, ["backup", "copy.db"]], ids=" ".join)
def test_commands_that_look_leave_the_file_of_an_application_as_it_is(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "app.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE orders (item TEXT)")
    database.close()
    before = file.read_bytes()

    result = CliRunner().invoke(main, [*command, "--storage", str(file)])

    assert result.exit_code == 2
    assert "there is no queue in" in result.stderr and "pyqueue migrate" in result.stderr
    assert file.read_bytes() == before
