"""Finding jobs that can run, and handing them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pyqueue.core.store.rows import by_keys, with_marks
from pyqueue.core.store.transaction import Transaction

# Null in most jobs, and of no account to SQL while a job is pulled.
RARE_COLUMNS: Final = (
    "timeout_ms",
    "expires_at",
    "unique_key",
    "group_id",
    "flow_id",
    "custom_id",
    "tags",
    "metadata",
    "extras",
    "blocked_by",
    "progress",
    "last_error",
    "limit_key",
)

# Read on every claim, so answered from three partial indexes in a few microseconds. Not by EXISTS: for that PostgreSQL
# reads the whole table where it expects to find a row soon, and it expects any of a table it knows nothing about.
_ANYTHING_DUE: Final = (
    "(SELECT 1 FROM pyqueue_job WHERE state = 1 AND run_at <= ? ORDER BY run_at LIMIT 1) IS NOT NULL",
    "(SELECT 1 FROM pyqueue_job WHERE expires_at <= ? AND expires_at IS NOT NULL AND state < 3"
    " ORDER BY expires_at LIMIT 1) IS NOT NULL",
    "(SELECT 1 FROM pyqueue_job WHERE state = 3 AND lease_until <= ? ORDER BY lease_until LIMIT 1) IS NOT NULL",
)

# delayed → waiting, where the delay is over.
_PROMOTE: Final = """
    UPDATE pyqueue_job SET state = 0, run_at = NULL, updated_at = ?
    WHERE id IN (
        SELECT id FROM pyqueue_job WHERE state = 1 AND run_at <= ? ORDER BY run_at LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/
    )
    RETURNING id, queue
"""

_EXPIRED: Final = """
    SELECT id, queue, state, on_finish FROM pyqueue_job
    WHERE expires_at <= ? AND expires_at IS NOT NULL AND state < 3
    ORDER BY expires_at LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/
"""

# What nearly every job needs, and whether it has more: reading all columns of 50 jobs costs as much as all
# the rest of their claim.
READY_COLUMNS: Final = (
    "id, name, priority, data, attempt, max_attempts, backoff, backoff_delay_ms, lease_token, rank,"
    f" /*lite*/coalesce/*pg num_nonnulls*/({', '.join(RARE_COLUMNS)}) /*lite*/IS NOT NULL/*pg > 0*/"
)
_READY: Final = f"""
    SELECT {READY_COLUMNS} FROM pyqueue_job
    WHERE state = 0 AND queue = ?
    ORDER BY priority DESC, rank, id LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/
"""
_RARE: Final = f"SELECT id, {', '.join(RARE_COLUMNS)} FROM pyqueue_job WHERE id {{keys}}"

# waiting → active. The lease never outlasts the job's own timeout, so that one index finds
# lapsed leases and exceeded timeouts alike.
_CLAIM: Final = """
    UPDATE pyqueue_job
    SET state = 3, worker_id = ?, lease_token = lease_token + 1, started_at = ?, updated_at = ?,
        lease_until = CASE WHEN timeout_ms IS NULL THEN ? ELSE /*lite*/min/*pg least*/(?, ? + timeout_ms * 1000) END,
        heartbeat_at = NULL, cancel_requested_at = NULL{slot}
    WHERE state/*pg + 0*/ = 0 AND id {{keys}}
"""
_CLAIM_PLAIN: Final = _CLAIM.format(slot="")
_CLAIM_SLOTS: Final = _CLAIM.format(slot=", slot = ?")

# Both at once, for PostgreSQL, where each statement is a round trip. Rows are taken from the place where they were
# locked: one that others changed just before that, and is not seen there, is left for the next claim. The columns are
# as `_READY` gives them, but in no order.
_TAKE: Final = f"""
    {_CLAIM_PLAIN.partition("WHERE")[0]}
    WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM pyqueue_job WHERE state = 0 AND queue = ?
        ORDER BY priority DESC, rank, id LIMIT {{limit}} FOR UPDATE SKIP LOCKED
    ))
    RETURNING {READY_COLUMNS.replace("lease_token", "lease_token - 1")}
"""
_TAKE_SOME: Final = _TAKE.format(limit="?")
# With the look before it: takes nothing where something is due, or the queue is paused or limited.
_TAKE_IF_FREE: Final = _TAKE.format(
    limit=f"""(
        SELECT CASE WHEN {" OR ".join(_ANYTHING_DUE)} OR EXISTS (
            SELECT 1 FROM pyqueue_queue WHERE name = ? AND (pulls_paused_at IS NOT NULL OR limits > 0)
        ) THEN 0 ELSE CAST(? AS bigint) END
    )"""
)

_ADVANCE_ROUND: Final = """
    INSERT INTO pyqueue_queue (name, round) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET round = excluded.round WHERE pyqueue_queue.round < excluded.round
"""

_LOOK: Final = """
    SELECT EXISTS (SELECT 1 FROM pyqueue_job WHERE state = 0 AND queue IN ({marks})),
           (SELECT min(run_at) FROM pyqueue_job WHERE state = 1)
"""

_NEXT_DELAY: Final = "SELECT min(run_at) FROM pyqueue_job WHERE state = 1 AND queue IN ({marks})"

_NEXT_DUE: Final = """
    SELECT (SELECT min(run_at) FROM pyqueue_job WHERE state = 1),
           (SELECT min(expires_at) FROM pyqueue_job WHERE expires_at IS NOT NULL AND state < 3),
           (SELECT min(lease_until) FROM pyqueue_job WHERE state = 3)
"""


# id, name, priority, data, attempt, max_attempts, backoff, backoff_delay_ms, lease_token, rank, has rare columns
ReadyRow = tuple[int, str, int, str, int, int, int, int, int, int, int]


def anything_due(tx: Transaction, queue: str) -> tuple[bool, bool, bool]:
    """Whether a delay, the life of a job, or a lease is over, in any queue; `queue` is the one to be pulled from."""
    promotable, expirable, lapsed = tx.look(queue, ", ".join(_ANYTHING_DUE), (tx.now_us, tx.now_us, tx.now_us))
    return bool(promotable), bool(expirable), bool(lapsed)


def promote(tx: Transaction, limit: int) -> list[tuple[int, str]]:
    """Makes jobs waiting whose delay is over, the longest due first; gives (key, queue) of each."""
    return tx.rows(_PROMOTE, (tx.now_us, tx.now_us, limit))


def expired(tx: Transaction, limit: int) -> list[tuple[int, str, int, int]]:
    """Jobs not started within their ttl: (key, queue, state, on_finish)."""
    return tx.rows(_EXPIRED, (tx.now_us, limit))


def ready(tx: Transaction, queue: str, limit: int) -> list[ReadyRow]:
    """The jobs to be handed out next, in order."""
    return tx.rows(_READY, (queue, limit))


def rare_columns(tx: Transaction, keys: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    """The values of `RARE_COLUMNS` of some jobs."""
    rows = [row for sql, bound in by_keys(_RARE, keys) for row in tx.rows(sql, bound)]
    return {row[0]: row[1:] for row in rows}


def claim(
    tx: Transaction, keys: Sequence[int], *, worker_id: str | None, until_us: int, slot: int | None = None
) -> None:
    """Makes waiting jobs active under a lease; in a limited queue each takes a `slot`."""
    now_us = tx.now_us
    values = [worker_id, now_us, now_us, until_us, until_us, now_us]
    sql = _CLAIM_PLAIN
    if slot is not None:
        sql = _CLAIM_SLOTS
        values.append(slot)
    for statement, bound in by_keys(sql, keys):
        tx.execute(statement, [*values, *bound])


def take(tx: Transaction, queue: str, limit: int, *, worker_id: str | None, until_us: int) -> list[ReadyRow]:
    """`ready` and `claim` in one statement, on PostgreSQL."""
    return _taken(tx, _TAKE_SOME, worker_id, until_us, (queue, limit))


def take_if_free(tx: Transaction, queue: str, limit: int, *, worker_id: str | None, until_us: int) -> list[ReadyRow]:
    """`take` where nothing is due in any queue, and this one is neither paused nor limited; else nothing."""
    return _taken(tx, _TAKE_IF_FREE, worker_id, until_us, (queue, tx.now_us, tx.now_us, tx.now_us, queue, limit))


def _taken(
    tx: Transaction, sql: str, worker_id: str | None, until_us: int, bound: Sequence[str | int]
) -> list[ReadyRow]:
    values = (worker_id, tx.now_us, tx.now_us, until_us, until_us, tx.now_us, *bound)
    return sorted(tx.rows(sql, values), key=place)


def place(row: ReadyRow) -> tuple[int, int, int]:
    """Where a job stands in its queue: the order of `ready`."""
    key, _, priority, *_, rank, _ = row
    return -priority, rank, key


def advance_round(tx: Transaction, queue: str, to_round: int) -> None:
    """Notes that the groups of the queue have come to this round."""
    tx.execute(_ADVANCE_ROUND, (queue, to_round))
    tx.forget_queue(queue)


def look(tx: Transaction, queues: Sequence[str]) -> tuple[bool, int | None]:
    """Whether a job of these queues is waiting, and when the next delay of any queue ends. Reads only."""
    names = queues or ("",)  # No queue is called so, and PostgreSQL knows no empty list.
    is_ready, due_us = tx.row(with_marks(_LOOK, len(names)), names)
    return bool(is_ready), due_us


def next_delay_us(tx: Transaction, queues: Sequence[str]) -> int | None:
    """When the next delay ends in one of these queues. Looks at all delayed jobs, so it is not for workers."""
    due_us: int | None = tx.row(with_marks(_NEXT_DELAY, len(queues)), queues)[0]
    return due_us


def next_due_us(tx: Transaction) -> int | None:
    """The next moment at which a delay, a ttl or a lease ends."""
    return min((moment for moment in tx.row(_NEXT_DUE) if moment is not None), default=None)
