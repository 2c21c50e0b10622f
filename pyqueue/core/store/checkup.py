"""A look at the file of a queue: whether it is whole, and whether it has what it needs."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import Final, NamedTuple

from pyqueue.core.store.connection import BUSY_SECONDS

_FREE_BYTES_MIN: Final = 256 * 1_048_576
# The log is begun anew after each checkpoint; one that is larger has a reader that never ends.
_LOG_BYTES_MAX: Final = 256 * 1_048_576


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    is_well: bool
    told: str


def look_at(path: str) -> list[Finding]:
    """What there is to say about the SQLite file at `path`. Reads all of it once; others may write meanwhile."""
    folder = os.path.dirname(path)
    free = shutil.disk_usage(folder).free
    return [
        Finding("writable", os.access(path, os.W_OK) and os.access(folder, os.W_OK), "the file and its folder"),
        Finding("disk", free >= _FREE_BYTES_MIN, f"{free:,} bytes free"),
        _log(path),
        *_database(path),
    ]


def _log(path: str) -> Finding:
    log = f"{path}-wal"
    size_bytes = os.path.getsize(log) if os.path.exists(log) else 0
    return Finding("write-ahead log", size_bytes <= _LOG_BYTES_MAX, f"{size_bytes:,} bytes")


def _database(path: str) -> list[Finding]:
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            [mode] = connection.execute("PRAGMA journal_mode").fetchone()
            [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return [Finding("integrity", is_well=False, told=str(error))]
    version = f"SQLite {sqlite3.sqlite_version}"
    return [Finding("integrity", found == "ok", found), Finding("journal", mode == "wal", f"{mode}, {version}")]
