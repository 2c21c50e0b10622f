"""Makes one statement fail, be interrupted, or be the last that its process carries out."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import psycopg

from pyqueue.core.store import connection as store_connection
from tests import servers

Dump = dict[str, list[tuple[Any, ...]]]


@dataclass
class Fault:
    """Strikes once: at statement `number` of all connections, before or after it was carried out."""

    strike: Callable[[sqlite3.Connection], NoReturn]
    number: int
    is_after: bool = False
    seen: int = 0
    has_struck: bool = False


class FaultyConnection(sqlite3.Connection):
    """A connection on which the fault that is set strikes, and which tells of its commits."""

    fault: ClassVar[Fault | None] = None
    committed: ClassVar[Callable[[], object] | None] = None

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        fault = FaultyConnection.fault
        if fault is not None and not fault.has_struck:
            fault.seen += 1
            fault.has_struck = fault.seen == fault.number
            if fault.has_struck:
                # A COMMIT that reports an error has not committed: SQLite promises that.
                if fault.is_after and (sql != "COMMIT" or fault.strike not in DATABASE_FAULTS):
                    super().execute(sql, parameters)
                fault.strike(self)
        cursor = super().execute(sql, parameters)
        if sql == "COMMIT" and FaultyConnection.committed is not None:
            FaultyConnection.committed()
        return cursor


def disk_error(_: sqlite3.Connection) -> NoReturn:
    raise _error("disk I/O error", sqlite3.SQLITE_IOERR)


def disk_full(connection: sqlite3.Connection) -> NoReturn:
    connection.rollback()  # SQLite may do so by itself when the disk is full.
    raise _error("database or disk is full", sqlite3.SQLITE_FULL)


def interrupt(_: sqlite3.Connection) -> NoReturn:
    raise KeyboardInterrupt


def kill(_: sqlite3.Connection) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


DATABASE_FAULTS = (disk_error, disk_full)


def _error(text: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


# What replaces that with which the store opens its connections.
faulty_connect = partial(sqlite3.connect, factory=FaultyConnection)


def use_faulty_connections() -> None:
    """From now on, in this process. Tests prefer a `monkeypatch` of the same attribute, which ends with them."""
    vars(store_connection)["connect"] = faulty_connect


@contextmanager
def armed(fault: Fault) -> Iterator[Fault]:
    """Sets the fault for the statements in the block."""
    FaultyConnection.fault = fault
    try:
        yield fault
    finally:
        FaultyConnection.fault = None


# What was counted, and what was logged since: each job that left a state, and each that came into one.
_COUNTED = """
    SELECT queue, state, sum(jobs) FROM (
        SELECT queue, state, jobs FROM pyqueue_count
        UNION ALL SELECT queue, state, jobs FROM pyqueue_event
            WHERE state IS NOT NULL AND position > (SELECT value FROM pyqueue_meta WHERE key = 'counted_to')
        UNION ALL SELECT queue, source, -jobs FROM pyqueue_event
            WHERE source IS NOT NULL AND position > (SELECT value FROM pyqueue_meta WHERE key = 'counted_to')
    ) AS moved GROUP BY 1, 2 HAVING sum(jobs) <> 0
"""


def dump(path: Path) -> Dump:
    """Every row of every table, as another process would see it now."""
    opened = sqlite3.connect(path)
    tables = [row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {table: opened.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
    opened.close()
    return rows


def assert_sound(path: Path | str) -> None:
    """No page and no row breaks its rules, the counters are true, and nothing is left of jobs that are gone."""
    opened: Any
    if isinstance(path, str) and path.startswith("postgresql:"):
        address, schema = servers.split(path)
        opened = psycopg.connect(address, autocommit=True, options=f"-c search_path={schema}")
    else:
        opened = sqlite3.connect(path)
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    counted = opened.execute(_COUNTED).fetchall()
    real = opened.execute("SELECT queue, state, count(*) FROM pyqueue_job GROUP BY 1, 2").fetchall()
    assert sorted(counted) == sorted(real), "the counters are wrong"
    for table, column in (("pyqueue_tag", "job_id"), ("pyqueue_attempt", "job_id"), ("pyqueue_log", "job_id"),
                          ("pyqueue_dependency", "child_id")):  # fmt: skip
        orphans = f"SELECT count(*) FROM {table} WHERE {column} NOT IN (SELECT id FROM pyqueue_job)"
        assert opened.execute(orphans).fetchone() == (0,), f"{table} has rows of jobs that are gone"
    miscounted = """
        SELECT id FROM pyqueue_job AS child WHERE state = 2 AND blocked_by <> (
            SELECT count(*) FROM pyqueue_dependency JOIN pyqueue_job AS parent ON parent.id = parent_id
            WHERE child_id = child.id AND (parent.state < 4 OR parent.state > 4 AND on_failure < 2))
            + CASE WHEN on_finish & 8 <> 0 THEN 1 ELSE 0 END
    """
    assert opened.execute(miscounted).fetchall() == [], "blocked jobs wait for another number of parents than they have"
    opened.close()
