"""Asking PostgreSQL how many jobs are left, on a connection that is kept."""

from __future__ import annotations

import os
from functools import cache

import psycopg


def count_of(sql: str) -> int:
    """The number that a query gives."""
    row = _connection().execute(sql.encode()).fetchone()
    assert row is not None
    return int(row[0])


@cache
def _connection() -> psycopg.Connection[tuple[int, ...]]:
    return psycopg.connect(os.environ["BENCH_FILE"], autocommit=True)
