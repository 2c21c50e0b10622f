"""The tables for those who watch a database: steps of the schema (`store.migrations`)."""

from __future__ import annotations

from typing import Final

# How often each thing has happened to the jobs of a queue. `state` -1: the jobs were deleted.
TOTALS: Final = (
    """
    CREATE TABLE pyqueue_total (
        queue TEXT NOT NULL,
        event TEXT NOT NULL,
        state INTEGER NOT NULL,
        jobs BIGINT NOT NULL,
        counted_at BIGINT NOT NULL,
        PRIMARY KEY (queue, event, state)
    ) WITHOUT ROWID
    """,
)
