"""The notes, in the file of the queue, so that a note and its job can be one transaction."""

import sqlite3
from typing import cast

from flask import current_app, g

_TABLE = """
    CREATE TABLE IF NOT EXISTS note (
        id INTEGER PRIMARY KEY, text TEXT NOT NULL, written_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        job_id TEXT, sound BLOB
    )
"""


def database() -> sqlite3.Connection:
    """The connection of this request, or of this job."""
    if "database" not in g:
        opened = sqlite3.connect(current_app.config["PYQUEUE_STORAGE"], timeout=20)
        opened.row_factory = sqlite3.Row
        opened.execute(_TABLE)
        g.database = opened
    return cast(sqlite3.Connection, g.database)


def close_database(_: BaseException | None) -> None:
    """At the end of the request or the job."""
    if "database" in g:
        g.pop("database").close()
