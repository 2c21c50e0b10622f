"""Storing new jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pyqueue.core.follows import HAS_CHILDREN
from pyqueue.core.store.rows import padded_chunks, run_rows, with_marks
from pyqueue.core.store.transaction import Transaction

# The plain case binds only what differs from the defaults: 2.3 times as fast as binding all columns.
_PLAIN_COLUMNS: Final = ("id", "queue", "name", "data", "priority", "rank")
_COLUMNS: Final = (
    *_PLAIN_COLUMNS,
    "state",
    "max_attempts",
    "backoff",
    "backoff_delay_ms",
    "timeout_ms",
    "run_at",
    "expires_at",
    "unique_key",
    "group_id",
    "flow_id",
    "custom_id",
    "tags",
    "metadata",
    "extras",
    "blocked_by",
    "on_finish",
)

_INSERT_PLAIN: Final = f"INSERT INTO pyqueue_job ({', '.join(_PLAIN_COLUMNS)}) VALUES {{rows}}"
_INSERT_PLAINEST: Final = "INSERT INTO pyqueue_job (id, queue, name, data) VALUES {rows}"
# Such a row where it may go with the statement that logs it, on PostgreSQL.
_INSERT_ONE: Final = """
    INSERT INTO pyqueue_job (id, queue, name, data, priority, rank)
    SELECT column1, column2, column3, column4::json, column5, column6 FROM begun, (VALUES (?, ?, ?, ?, ?, ?)) AS job
"""
_INSERT: Final = f"INSERT INTO pyqueue_job ({', '.join(_COLUMNS)}) VALUES {{rows}}"
_INSERT_KEYED: Final = f"INSERT INTO pyqueue_job ({', '.join(_COLUMNS)}, limit_key) VALUES {{rows}}"
_INSERT_UNKEYED: Final = f"INSERT INTO pyqueue_job ({', '.join(_PLAIN_COLUMNS)}, limit_key) VALUES {{rows}}"
_INSERT_TAGS: Final = "INSERT INTO pyqueue_tag (tag, job_id) VALUES {rows}"
_INSERT_PARENTS: Final = "INSERT INTO pyqueue_dependency (child_id, parent_id) VALUES {rows}"
_INSERT_RICH_PARENTS: Final = """
    INSERT INTO pyqueue_dependency (child_id, parent_id, on_failure, ref, binds) VALUES {rows}
"""

_HELD_KEYS: Final = """
    SELECT unique_key, id FROM pyqueue_job
    WHERE queue = ? AND unique_key IN ({marks}) AND unique_key IS NOT NULL AND state < 4
"""
_STATES: Final = "SELECT id, state FROM pyqueue_job WHERE id IN ({marks})"
# On PostgreSQL a parent must not end between this look and the child's arrival.
_PARENT_STATES: Final = _STATES + " /*pg ORDER BY id FOR UPDATE*/"

_MARK_PARENTS: Final = f"""
    UPDATE pyqueue_job SET on_finish = on_finish | {HAS_CHILDREN} WHERE id IN ({{marks}}) AND state <> 4
"""

_LAST_RANK: Final = """
    SELECT coalesce(max(rank), 0) FROM pyqueue_job
    WHERE queue = ? AND group_id = ? AND group_id IS NOT NULL AND state = 0
"""


def insert_plain(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows of (id, queue, name, data, priority, rank), waiting at once, all else at its default."""
    if len(rows) == 1 and tx.on_postgres:
        tx.execute_with_log(_INSERT_ONE, rows[0])
    elif any(row[4] or row[5] for row in rows):
        run_rows(tx, _INSERT_PLAIN, 6, rows)
    else:
        run_rows(tx, _INSERT_PLAINEST, 4, [row[:4] for row in rows])


def insert(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows with a value for each of `_COLUMNS`."""
    run_rows(tx, _INSERT, len(_COLUMNS), rows)


def insert_keyed(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    """The same with a limit key at the end of each row."""
    run_rows(tx, _INSERT_KEYED, len(_COLUMNS) + 1, rows)


def insert_unkeyed(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    """`insert_plain` in a queue whose keys are limited: jobs without a key are found under the key ''."""
    run_rows(tx, _INSERT_UNKEYED, len(_PLAIN_COLUMNS) + 1, [(*row, "") for row in rows])


def insert_tags(tx: Transaction, rows: Sequence[tuple[str, int]]) -> None:
    run_rows(tx, _INSERT_TAGS, 2, rows)


def insert_parents(tx: Transaction, rows: Sequence[tuple[int, int, int, str | None, str | None]]) -> None:
    """Rows of (child, parent, policy, ref, binds)."""
    if any(policy or ref for _, _, policy, ref, _ in rows):
        run_rows(tx, _INSERT_RICH_PARENTS, 5, rows)
    else:
        run_rows(tx, _INSERT_PARENTS, 2, [row[:2] for row in rows])


def mark_parents(tx: Transaction, keys: Sequence[int]) -> None:
    """Jobs that have not completed learn that others wait for them."""
    for chunk in padded_chunks(keys):
        tx.execute(with_marks(_MARK_PARENTS, len(chunk)), chunk)


def held_unique_keys(tx: Transaction, queue: str, unique_keys: Sequence[str]) -> dict[str, int]:
    """Those of `unique_keys` that a live job of the queue holds, with the key of that job."""
    held: dict[str, int] = {}
    for chunk in padded_chunks(unique_keys):
        held.update(tx.rows(with_marks(_HELD_KEYS, len(chunk)), [queue, *chunk]))
    return held


def states(tx: Transaction, keys: Sequence[int]) -> dict[int, int]:
    """The states of the jobs among `keys` that exist."""
    return _states(tx, _STATES, keys)


def parent_states(tx: Transaction, keys: Sequence[int]) -> dict[int, int]:
    """`states` of jobs that are about to get children, which keep theirs until the end of the transaction."""
    return _states(tx, _PARENT_STATES, keys)


def _states(tx: Transaction, sql: str, keys: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for chunk in padded_chunks(keys):
        found.update(tx.rows(with_marks(sql, len(chunk)), chunk))
    return found


def last_rank(tx: Transaction, queue: str, group_id: str) -> int:
    """The highest turn already given to a waiting job of the group."""
    return int(tx.row(_LAST_RANK, (queue, group_id))[0])
