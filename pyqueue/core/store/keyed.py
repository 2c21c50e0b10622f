"""The waiting jobs of a queue by their `limit_key`: what a claim reads where keys are limited."""

from __future__ import annotations

from typing import Final

from pyqueue.core.store.claim import READY_COLUMNS, ReadyRow
from pyqueue.core.store.transaction import Transaction

_READY: Final = f"""
    SELECT coalesce(limit_key, ''), {READY_COLUMNS} FROM pyqueue_job
    WHERE state = 0 AND queue = ?
    ORDER BY priority DESC, rank, id LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/
"""

_READY_OF_KEY: Final = f"""
    SELECT {READY_COLUMNS} FROM pyqueue_job
    WHERE state = 0 AND limit_key IS NOT NULL AND queue = ? AND limit_key = ?
    ORDER BY priority DESC, rank, id LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/
"""

# Jumps from key to key, two seeks of an index for each, however many jobs a key has; then in the order in which
# the first job of each would be pulled.
_HEADS: Final = """
    WITH RECURSIVE waiting (limit_key) AS (
        SELECT min(limit_key) FROM pyqueue_job WHERE state = 0 AND limit_key IS NOT NULL AND queue = ?
        UNION ALL
        SELECT (SELECT min(job.limit_key) FROM pyqueue_job AS job
                WHERE job.state = 0 AND job.limit_key IS NOT NULL
                  AND job.queue = ? AND job.limit_key > waiting.limit_key)
        FROM waiting WHERE waiting.limit_key IS NOT NULL
    )
    SELECT waiting.limit_key
    FROM waiting JOIN pyqueue_job AS head ON head.id = (
        SELECT job.id FROM pyqueue_job AS job
        WHERE job.state = 0 AND job.limit_key IS NOT NULL AND job.queue = ? AND job.limit_key = waiting.limit_key
        ORDER BY job.priority DESC, job.rank, job.id LIMIT 1
    )
    ORDER BY head.priority DESC, head.rank, head.id
"""

# The same for those who only look.
_LOOK: Final = """
    SELECT coalesce(limit_key, '') FROM pyqueue_job
    WHERE state = 0 AND queue = ? ORDER BY priority DESC, rank, id LIMIT ?
"""

_LAST_RANK: Final = """
    SELECT coalesce(max(rank), 0) FROM pyqueue_job
    WHERE state = 0 AND limit_key IS NOT NULL AND queue = ? AND limit_key = ? AND priority = ?
"""

# Jobs without a key get the key '', one statement for each state that has an index to find them by.
_MARK_UNKEYED: Final = tuple(
    f"UPDATE pyqueue_job SET limit_key = '' WHERE state = {state} AND queue = ? AND limit_key IS NULL"
    for state in range(4)
)
_MARK_ONE: Final = "UPDATE pyqueue_job SET limit_key = '' WHERE id = ? AND limit_key IS NULL"


def ready(tx: Transaction, queue: str, limit: int) -> list[tuple[str, ReadyRow]]:
    """The jobs to be handed out next if no key were held, in order, each with its key ('' for none)."""
    return [(row[0], row[1:]) for row in tx.rows(_READY, (queue, limit))]


def look(tx: Transaction, queue: str, limit: int) -> list[str]:
    """The keys of the jobs that `ready` would give. Reads only."""
    return [row[0] for row in tx.rows(_LOOK, (queue, limit))]


def ready_of(tx: Transaction, queue: str, limit_key: str, limit: int) -> list[ReadyRow]:
    """The next jobs of one key, in order."""
    return tx.rows(_READY_OF_KEY, (queue, limit_key, limit))


def keys_in_turn(tx: Transaction, queue: str) -> list[str]:
    """The keys that have waiting jobs; first the one whose job would be the next."""
    return [row[0] for row in tx.rows(_HEADS, (queue, queue, queue))]


def last_rank(tx: Transaction, queue: str, limit_key: str, priority: int) -> int:
    """The highest turn already given to a waiting job of the key and priority."""
    return int(tx.row(_LAST_RANK, (queue, limit_key, priority))[0])


def mark_unkeyed(tx: Transaction, queue: str) -> None:
    """Lets the unfinished jobs without a key be found beside those that have one."""
    for sql in _MARK_UNKEYED:
        tx.execute(sql, (queue,))


def mark_one(tx: Transaction, key: int) -> None:
    """`mark_unkeyed` for one job, which comes back from the finished ones."""
    tx.execute(_MARK_ONE, (key,))
