"""The steps of a job that are done: their results, by name."""

from __future__ import annotations

from typing import Final

import msgspec

from pyqueue.core.clock import to_datetime
from pyqueue.core.job import StepResult
from pyqueue.core.store.transaction import Transaction

_RESULT: Final = "SELECT result FROM pyqueue_step WHERE job_id = ? AND name = ?"
_ALL: Final = "SELECT name, kept_at, result FROM pyqueue_step WHERE job_id = ? ORDER BY kept_at, name"
_COUNT: Final = "SELECT count(*) FROM pyqueue_step WHERE job_id = ?"

# Active and still ours: the statement that holds the run while a step is added to it.
_HOLD: Final = """
    UPDATE pyqueue_job SET updated_at = ?
    WHERE id = ? AND state = 3 AND lease_token = coalesce(?, lease_token)
    RETURNING id
"""

# What is kept first stays: of two calls of one step that ran side by side, both get the result of one.
_KEEP: Final = """
    INSERT INTO pyqueue_step (job_id, name, kept_at, result) VALUES (?, ?, ?, ?)
    ON CONFLICT (job_id, name) DO UPDATE SET name = excluded.name
    RETURNING result
"""


def hold(tx: Transaction, key: int, lease: int | None) -> bool:
    """Whether the run goes on and is the caller's, until the end of this transaction."""
    return tx.row(_HOLD, (tx.now_us, key, lease)) is not None


def keep(tx: Transaction, key: int, name: str, result: str) -> str:
    """Keeps the result of a step, if there is none yet; gives the one that is kept."""
    return str(tx.row(_KEEP, (key, name, tx.now_us, result))[0])


def count(tx: Transaction, key: int) -> int:
    """How many steps of the job are done."""
    return int(tx.row(_COUNT, (key,))[0])


def result_of(tx: Transaction, key: int, name: str) -> str | None:
    """The JSON that the step gave, or None if it is not done."""
    row = tx.row(_RESULT, (key, name))
    return None if row is None else str(row[0])


def all_of(tx: Transaction, key: int) -> list[StepResult]:
    """The steps of the job that are done, in the order in which they were."""
    return [
        StepResult(name, to_datetime(kept_us), msgspec.json.decode(result))
        for name, kept_us, result in tx.rows(_ALL, (key,))
    ]
