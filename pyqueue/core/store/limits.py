"""Limits of queues and keys: what was set, the slots that are taken, and the token buckets.

A slot is a run that was claimed under a limit and whose lease has not ended: it is counted from the rows of the
jobs, so it cannot be lost. A bucket has a row only while it is not full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pyqueue.core.bucket import Rate
from pyqueue.core.store.rows import run_rows
from pyqueue.core.store.transaction import Transaction

# What a limit is for (`pyqueue_limit.kind`). Buckets of keys have the last, whichever limit they are under.
PUSHES: Final = 0
PULLS: Final = 1
EACH_KEY: Final = 2
KEY: Final = 3

# In `pyqueue_queue.limits`: what a push or pull of the queue has to look at.
HAS_PUSHES: Final = 1
HAS_PULLS: Final = 2
HAS_KEYS: Final = 4
HAS_BREAKER: Final = 8
HOLDS_PULLS: Final = HAS_PULLS | HAS_KEYS | HAS_BREAKER

# In `pyqueue_job.slot`: what must happen when the run ends, beside the slot being free.
SLOT: Final = 1
SLOT_OF_BREAKER: Final = 2

_READ: Final = "SELECT queue, kind, limit_key, concurrency, rate, per_ms, burst FROM pyqueue_limit"
_OF_QUEUE: Final = f"{_READ} WHERE queue = ? ORDER BY kind, limit_key"
# Whoever takes a slot or a token holds the limits first: where others write at the same time (PostgreSQL), they wait.
_HOLD: Final = f"{_OF_QUEUE} /*pg FOR UPDATE*/"
_HOLD_KIND: Final = f"{_READ} WHERE queue = ? AND kind = ? AND limit_key = ? /*pg FOR UPDATE*/"
_ALL: Final = f"{_READ} ORDER BY queue, kind, limit_key"
_SET: Final = """
    INSERT INTO pyqueue_limit (queue, kind, limit_key, concurrency, rate, per_ms, burst) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (queue, kind, limit_key) DO UPDATE
    SET concurrency = excluded.concurrency, rate = excluded.rate, per_ms = excluded.per_ms, burst = excluded.burst
"""
_REMOVE: Final = "DELETE FROM pyqueue_limit WHERE queue = ? AND kind = ? AND limit_key = ?"
_REMOVE_BUCKETS: Final = "DELETE FROM pyqueue_bucket WHERE queue = ? AND kind = ? AND limit_key = ?"

# The flags follow from the limits there are: 1, 2 and 4 for pushes, pulls and keys, 8 for a breaker.
_FLAG: Final = """
    INSERT INTO pyqueue_queue (name, limits) VALUES (?, 0) ON CONFLICT (name) DO NOTHING
"""
_REFLAG: Final = """
    UPDATE pyqueue_queue
    SET limits =
        (SELECT coalesce(sum(bit), 0) FROM (
            SELECT DISTINCT CASE kind WHEN 0 THEN 1 WHEN 1 THEN 2 ELSE 4 END AS bit FROM pyqueue_limit WHERE queue = ?
        ) AS bits) + CASE WHEN breaker_failures IS NULL THEN 0 ELSE 8 END
    WHERE name = ?
"""

_TAKEN: Final = """
    SELECT limit_key, count(*) FROM pyqueue_job WHERE state = 3 AND slot IS NOT NULL AND queue = ? GROUP BY limit_key
"""
_HOLDERS: Final = """
    SELECT id FROM pyqueue_job WHERE state = 3 AND slot IS NOT NULL AND queue = ? LIMIT ?
"""
_HOLDERS_OF_KEY: Final = """
    SELECT id FROM pyqueue_job WHERE state = 3 AND slot IS NOT NULL AND queue = ? AND limit_key = ? LIMIT ?
"""
_MARK_SLOTS: Final = "UPDATE pyqueue_job SET slot = ? WHERE state = 3 AND queue = ?"

_BUCKETS: Final = "SELECT kind, limit_key, full_at FROM pyqueue_bucket WHERE queue = ? AND kind > 0 AND full_at > ?"
_BUCKET: Final = "SELECT full_at FROM pyqueue_bucket WHERE queue = ? AND kind = ? AND limit_key = ?"
_FILL: Final = """
    INSERT INTO pyqueue_bucket (queue, kind, limit_key, full_at) VALUES {rows}
    ON CONFLICT (queue, kind, limit_key) DO UPDATE SET full_at = excluded.full_at
"""
_FORGET: Final = (
    """
    DELETE FROM pyqueue_bucket WHERE (queue, kind, limit_key) IN (
        SELECT queue, kind, limit_key FROM pyqueue_bucket WHERE full_at <= ? LIMIT ?
    )
    """,
    """
    DELETE FROM pyqueue_unique WHERE (queue, unique_key) IN (
        SELECT queue, unique_key FROM pyqueue_unique WHERE held_until <= ? LIMIT ?
    )
    """,
)


class Limit(NamedTuple):
    """One limit as it was set."""

    queue: str
    kind: int
    limit_key: str
    concurrency: int | None
    rate: Rate | None


def of_queue(tx: Transaction, queue: str) -> list[Limit]:
    """All limits of a queue."""
    return [_limit(*row) for row in tx.rows(_OF_QUEUE, (queue,))]


def hold(tx: Transaction, queue: str) -> list[Limit]:
    """The same, until the end of the transaction."""
    return [_limit(*row) for row in tx.rows(_HOLD, (queue,))]


def hold_kind(tx: Transaction, queue: str, kind: int) -> Limit | None:
    """The limit of the queue itself, of its pushes or of each of its keys, until the end of the transaction."""
    row = tx.row(_HOLD_KIND, (queue, kind, ""))
    return None if row is None else _limit(*row)


def of_all(tx: Transaction) -> list[Limit]:
    """Every limit, by queue."""
    return [_limit(*row) for row in tx.rows(_ALL)]


def _limit(
    queue: str, kind: int, key: str, concurrency: int | None, rate: float | None, per_ms: int, burst: int
) -> Limit:
    return Limit(queue, kind, key, concurrency, None if rate is None else Rate(rate, per_ms, burst))


def put(tx: Transaction, limit: Limit) -> None:
    """Sets a limit, in place of the one there was."""
    rate = (None, None, None) if limit.rate is None else (limit.rate.rate, limit.rate.per_ms, limit.rate.burst)
    tx.execute(_SET, (limit.queue, limit.kind, limit.limit_key, limit.concurrency, *rate))
    reflag(tx, limit.queue)


def remove(tx: Transaction, queue: str, kind: int, limit_key: str) -> bool:
    """Takes a limit away; False if there was none."""
    was_there = tx.execute(_REMOVE, (queue, kind, limit_key)).rowcount > 0
    tx.execute(_REMOVE_BUCKETS, (queue, kind, limit_key))
    reflag(tx, queue)
    return was_there


def reflag(tx: Transaction, queue: str) -> None:
    """Brings the flags of a queue up to its limits."""
    tx.execute(_FLAG, (queue,))
    tx.execute(_REFLAG, (queue, queue))
    tx.forget_queue(queue)


def taken(tx: Transaction, queue: str) -> dict[str, int]:
    """How many slots of the queue each key holds now ('' for runs without a key)."""
    counts: dict[str, int] = {}
    for limit_key, number in tx.rows(_TAKEN, (queue,)):
        counts[limit_key or ""] = counts.get(limit_key or "", 0) + number
    return counts


def holders(tx: Transaction, queue: str, limit_key: str | None, limit: int) -> list[int]:
    """Some of the runs that hold slots of the queue, or of one key in it."""
    if limit_key is None:
        return [row[0] for row in tx.rows(_HOLDERS, (queue, limit))]
    return [row[0] for row in tx.rows(_HOLDERS_OF_KEY, (queue, limit_key, limit))]


def mark_slots(tx: Transaction, queue: str, slot: int) -> None:
    """Counts the runs that began before there was a limit."""
    tx.execute(_MARK_SLOTS, (slot, queue))


def buckets(tx: Transaction, queue: str) -> dict[tuple[int, str], int]:
    """When the buckets of pulls and keys that are not full will be, by kind and key."""
    return {(kind, key): full_us for kind, key, full_us in tx.rows(_BUCKETS, (queue, tx.now_us))}


def bucket(tx: Transaction, queue: str, kind: int, limit_key: str = "") -> int | None:
    """When one bucket will be full."""
    row = tx.row(_BUCKET, (queue, kind, limit_key))
    return None if row is None else int(row[0])


def fill(tx: Transaction, rows: Sequence[tuple[str, int, str, int]]) -> None:
    """Notes when buckets will be full, from rows of (queue, kind, key, moment)."""
    run_rows(tx, _FILL, 4, rows)


def forget(tx: Transaction, limit: int) -> int:
    """Drops the rows of full buckets, and of unique keys whose time is over; gives how many."""
    return sum(tx.execute(sql, (tx.now_us, limit)).rowcount for sql in _FORGET)
