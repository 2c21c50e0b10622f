"""Leases: extended by heartbeats, lapsed without; and what a worker reports meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pyqueue.core.limits import LOGS_MAX
from pyqueue.core.store.rows import flat, padded_chunks, with_rows
from pyqueue.core.store.transaction import Transaction

# A heartbeat never extends a lease beyond the job's own timeout.
_EXTEND: Final = """
    UPDATE pyqueue_job
    SET lease_until = CASE WHEN timeout_ms IS NULL THEN ?
                           ELSE /*lite*/min/*pg least*/(?, started_at + timeout_ms * 1000) END,
        heartbeat_at = ?, updated_at = ?
    FROM (VALUES {rows}) AS lease
    WHERE pyqueue_job.id = lease.column1 AND state/*pg + 0*/ = 3
      AND lease_token = coalesce(CAST(lease.column2 AS BIGINT), lease_token)
    RETURNING id, lease_until, cancel_requested_at, lease_token
"""
# The bare column, since SQLite 3.40 answers `cancel_requested_at IS NOT NULL` wrongly (always 1) in the
# RETURNING of an UPDATE … FROM.

_REPORT: Final = """
    UPDATE pyqueue_job SET progress = coalesce(?, progress, 0), updated_at = ?
    WHERE id = ? AND state = 3 AND lease_token = coalesce(?, lease_token)
    RETURNING id
"""

_NEXT_LOG: Final = "SELECT coalesce(max(number), 0) + 1 FROM pyqueue_log WHERE job_id = ?"
_LOG: Final = "INSERT INTO pyqueue_log (job_id, number, logged_at, message) VALUES (?, ?, ?, ?)"
_TRIM_LOG: Final = "DELETE FROM pyqueue_log WHERE job_id = ? AND number <= ?"

_LAPSED: Final = """
    SELECT id FROM pyqueue_job
    WHERE state = 3 AND lease_until <= ?
    ORDER BY lease_until LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/
"""


class Extended(NamedTuple):
    """A lease that was extended."""

    token: int
    until_us: int
    is_cancel_requested: bool


def extend(tx: Transaction, leases: Sequence[tuple[int, int | None]], until_us: int) -> dict[int, Extended]:
    """Extends leases given as (key, token or None); gives those still held, by key."""
    extended: dict[int, Extended] = {}
    for chunk in padded_chunks(leases):
        params = [until_us, until_us, tx.now_us, tx.now_us, *flat(chunk)]
        for key, lease_us, cancel_us, token in tx.rows(with_rows(_EXTEND, 2, len(chunk)), params):
            extended[key] = Extended(token, lease_us, cancel_us is not None)
    return extended


def report(tx: Transaction, key: int, lease: int | None, percent: int | None) -> bool:
    """Sets the progress of a run (None: leaves it); False if the run is over or another's."""
    return tx.row(_REPORT, (percent, tx.now_us, key, lease)) is not None


def add_log(tx: Transaction, key: int, message: str) -> None:
    """Appends a message to the job's log, and drops the oldest beyond `limits.LOGS_MAX`."""
    number = tx.row(_NEXT_LOG, (key,))[0]
    tx.execute(_LOG, (key, number, tx.now_us, message))
    if number > LOGS_MAX:
        tx.execute(_TRIM_LOG, (key, number - LOGS_MAX))


def lapsed(tx: Transaction, limit: int) -> list[int]:
    """Active jobs whose lease or timeout is over, the longest over first."""
    return [row[0] for row in tx.rows(_LAPSED, (tx.now_us, limit))]
