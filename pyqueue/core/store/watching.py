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

# Who is told of what happens: some dozens of rows, so no index.
WEBHOOKS: Final = (
    """
    CREATE TABLE pyqueue_webhook (
        id TEXT NOT NULL PRIMARY KEY,
        url TEXT NOT NULL,
        events TEXT NOT NULL,
        queues TEXT NOT NULL,
        secret TEXT,
        is_active INTEGER NOT NULL DEFAULT 1,
        since BIGINT NOT NULL,
        failures BIGINT NOT NULL DEFAULT 0,
        last_error TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    ) WITHOUT ROWID
    """,
)
