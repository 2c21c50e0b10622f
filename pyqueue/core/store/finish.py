"""Ending a run, or a job: completed, failed, given back, cancelled, sent round again, deleted.

Each statement is guarded by the state it starts from and, where a worker speaks, by its lease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pyqueue.core.limits import ROWS_PER_STATEMENT
from pyqueue.core.store.rows import array_of, by_keys, flat, padded_chunks, with_marks, with_rows
from pyqueue.core.store.transaction import Transaction

# active → completed, where the job is still active, the lease is still ours, and nothing else follows. Jobs
# without a result, the most, are looked at first: the transaction holds the write lock, so what was read holds,
# and a RETURNING would cost more than the look and the update together. Those of one queue and with one lease, as
# nearly all that were pulled together, are looked at as a whole: to hand out a row for each costs twice as much.
_WHOLE_RUNS: Final = """
    SELECT count(*), min(queue), max(queue), min(lease_token), max(lease_token) FROM pyqueue_job
    WHERE state = 3 AND on_finish = 0 AND slot IS NULL AND id {keys}
"""
_PLAIN_RUNS: Final = """
    SELECT id, queue, lease_token FROM pyqueue_job
    WHERE state = 3 AND on_finish = 0 AND slot IS NULL AND id {keys}
"""
_COMPLETE_PLAIN: Final = """
    UPDATE pyqueue_job SET state = 4, completed_at = ?, updated_at = ?, lease_until = NULL
    WHERE state = 3 AND on_finish = 0 AND slot IS NULL AND id {keys}
"""
_COMPLETE_PLAIN_WITH_RESULT: Final = """
    UPDATE pyqueue_job
    SET state = 4, completed_at = ?, updated_at = ?, result = lease.column3, lease_until = NULL
    FROM (VALUES {rows}) AS lease
    WHERE pyqueue_job.id = lease.column1 AND state = 3 AND on_finish = 0 AND slot IS NULL
      AND lease_token = coalesce(lease.column2, lease_token)
    RETURNING id, queue
"""

# The same for jobs from which something follows.
_COMPLETE: Final = """
    UPDATE pyqueue_job
    SET state = 4, completed_at = ?, updated_at = ?, result = lease.column3, lease_until = NULL
    FROM (VALUES {rows}) AS lease
    WHERE pyqueue_job.id = lease.column1 AND state = 3
      AND lease_token = coalesce(lease.column2, lease_token)
    RETURNING id, queue, on_finish, slot
"""

# For PostgreSQL, whatever follows, in one round trip: where all have the same lease and result, as most batches have,
# and where they differ. The keys stand in an array, and the state in a sum, so that jobs are found by their keys in
# every plan: the index of leases holds all that were active since the table was vacuumed. The arrays come
# as text, which asyncpg must be told.
_COMPLETE_ALIKE: Final = """
    UPDATE pyqueue_job
    SET state = 4, completed_at = ?, updated_at = ?, result = CAST(? AS json), lease_until = NULL
    WHERE id = ANY (CAST(CAST(? AS text) AS bigint[])) AND state + 0 = 3 AND lease_token = coalesce(?, lease_token)
    RETURNING id, queue, on_finish, slot
"""
_COMPLETE_EACH: Final = """
    UPDATE pyqueue_job
    SET state = 4, completed_at = ?, updated_at = ?, result = lease.result, lease_until = NULL
    FROM unnest(
        CAST(CAST(? AS text) AS bigint[]), CAST(CAST(? AS text) AS bigint[]), CAST(CAST(? AS text) AS json[])
    ) AS lease (key, token, result)
    WHERE id = ANY (CAST(CAST(? AS text) AS bigint[])) AND id = lease.key AND state + 0 = 3
      AND lease_token = coalesce(lease.token, lease_token)
    RETURNING id, queue, on_finish, slot
"""

_RUN: Final = """
    SELECT queue, state, lease_token, attempt, max_attempts, backoff, backoff_delay_ms, extras, on_finish,
           worker_id, started_at, cancel_requested_at, timeout_ms, slot
    FROM pyqueue_job WHERE id = ? /*pg FOR UPDATE*/
"""

# active → waiting, delayed, dead or cancelled: what `Outcome` says, with the run over.
_END_RUN: Final = """
    UPDATE pyqueue_job
    SET state = ?, run_at = ?, attempt = ?, last_error = coalesce(?, last_error), updated_at = ?, lease_until = NULL
    WHERE id = ? AND state = 3 AND lease_token = ?
    RETURNING id
"""

_RECORD_ATTEMPT: Final = """
    INSERT INTO pyqueue_attempt (job_id, number, worker_id, started_at, failed_at, error) VALUES (?, ?, ?, ?, ?, ?)
"""

# waiting, delayed, blocked → cancelled.
_WITHDRAW: Final = """
    UPDATE pyqueue_job SET state = 6, last_error = coalesce(?, last_error), updated_at = ?
    WHERE id IN ({marks}) AND state < 3
"""

_REQUEST_CANCEL: Final = """
    UPDATE pyqueue_job SET cancel_requested_at = coalesce(cancel_requested_at, ?), updated_at = ?
    WHERE id = ? AND state = 3
"""

_DELETE: Final = "DELETE FROM pyqueue_job WHERE id IN ({marks}) AND state <> 3 RETURNING id, queue, state, tags"
_DELETE_TAG: Final = "DELETE FROM pyqueue_tag WHERE tag = ? AND job_id = ?"
_DELETE_OF: Final = {
    table: f"DELETE FROM {table} WHERE {column} IN ({{marks}})"
    for table, column in (
        ("pyqueue_attempt", "job_id"),
        ("pyqueue_log", "job_id"),
        ("pyqueue_step", "job_id"),
        ("pyqueue_dependency", "child_id"),
    )
}
_REMEMBER_HIGHEST: Final = (
    "UPDATE pyqueue_meta SET value = max(value, ?) WHERE key = 'last_deleted'"
    " AND ? >= (SELECT coalesce(max(id), 0) FROM pyqueue_job)"
)


class Run(NamedTuple):
    """What must be known of a job to end its run."""

    queue: str
    state: int
    lease_token: int
    attempt: int
    max_attempts: int
    backoff: int
    backoff_delay_ms: int
    extras: str | None
    on_finish: int
    worker_id: str | None
    started_us: int | None
    cancel_us: int | None
    timeout_ms: int | None
    slot: int | None


class Completed(NamedTuple):
    """A job that was completed, and what may follow from that."""

    queue: str
    on_finish: int
    slot: int | None


def complete_plain(tx: Transaction, rows: Sequence[tuple[int, int | None, str | None]]) -> dict[int, str]:
    """Completes jobs from rows of (key, lease or None, result); gives the queue of each that was completed.

    Left out are jobs that are not active, whose lease is another's, or that need `complete`. On SQLite only.
    """
    completed: dict[int, str] = {}
    leases = {key: lease for key, lease, result in rows if result is None}
    if leases:
        completed = _complete_without_result(tx, leases)
    rest = [row for row in rows if row[0] not in leases] if len(leases) < len(rows) else ()
    for chunk in padded_chunks(rest):
        sql = with_rows(_COMPLETE_PLAIN_WITH_RESULT, 3, len(chunk))
        completed.update(tx.rows(sql, [tx.now_us, tx.now_us, *flat(chunk)]))
    return completed


def _complete_without_result(tx: Transaction, leases: Mapping[int, int | None]) -> dict[int, str]:
    """`complete_plain` for keys with their leases."""
    completed = _found_whole(tx, leases) or _found_one_by_one(tx, leases)
    if completed:
        for sql, keys in by_keys(_COMPLETE_PLAIN, list(completed)):
            tx.execute(sql, [tx.now_us, tx.now_us, *keys])
    return completed


def _found_whole(tx: Transaction, leases: Mapping[int, int | None]) -> dict[int, str]:
    """The queue of each job, if all of them can be completed and are alike; else nothing."""
    if not 1 < len(leases) <= ROWS_PER_STATEMENT:
        return {}
    [(sql, keys)] = by_keys(_WHOLE_RUNS, list(leases))
    number, queue, last_queue, token, last_token = tx.row(sql, keys)
    if number < len(leases) or queue != last_queue or token != last_token or set(leases.values()) - {None, token}:
        return {}
    return dict.fromkeys(leases, queue)


def _found_one_by_one(tx: Transaction, leases: Mapping[int, int | None]) -> dict[int, str]:
    """The queue of each job that can be completed."""
    return {
        key: queue
        for sql, keys in by_keys(_PLAIN_RUNS, list(leases))
        for key, queue, token in tx.rows(sql, keys)
        if leases[key] is None or leases[key] == token
    }


def complete(tx: Transaction, rows: Sequence[tuple[int, int | None, str | None]]) -> dict[int, Completed]:
    """Completes jobs whatever follows from it; gives what may follow for each that was."""
    if tx.on_postgres:
        return {key: Completed(queue, on_finish, slot) for key, queue, on_finish, slot in _complete_arrays(tx, rows)}
    completed: dict[int, Completed] = {}
    for chunk in padded_chunks(rows):
        sql = with_rows(_COMPLETE, 3, len(chunk))
        completed |= {row[0]: Completed(*row[1:]) for row in tx.rows(sql, [tx.now_us, tx.now_us, *flat(chunk)])}
    return completed


def _complete_arrays(tx: Transaction, rows: Sequence[tuple[int, int | None, str | None]]) -> list[Any]:
    keys, leases, results = zip(*rows, strict=True)
    key_array = array_of(keys)
    if len(set(leases)) == 1 and len(set(results)) == 1:
        return tx.rows(_COMPLETE_ALIKE, (tx.now_us, tx.now_us, results[0], key_array, leases[0]))
    arrays = (key_array, array_of(leases), array_of(results), key_array)
    return tx.rows(_COMPLETE_EACH, (tx.now_us, tx.now_us, *arrays))


def run_of(tx: Transaction, key: int) -> Run | None:
    """What is known of a job's run, if the job exists."""
    row = tx.row(_RUN, (key,))
    return None if row is None else Run(*row)


def end_run(
    tx: Transaction, key: int, run: Run, *, state: int, run_us: int | None, attempt: int, error: str | None
) -> bool:
    """Takes a job out of `run`; False if that run was over already."""
    params = (state, run_us, attempt, error, tx.now_us, key, run.lease_token)
    return tx.row(_END_RUN, params) is not None


def record_attempt(tx: Transaction, key: int, run: Run, error: str) -> None:
    """Keeps a failed try in the history of its job."""
    tx.execute(_RECORD_ATTEMPT, (key, run.lease_token, run.worker_id, run.started_us, tx.now_us, error))


def withdraw(tx: Transaction, keys: Sequence[int], reason: str | None) -> None:
    """Cancels jobs that have not started."""
    for chunk in padded_chunks(keys):
        tx.execute(with_marks(_WITHDRAW, len(chunk)), [reason, tx.now_us, *chunk])


def request_cancel(tx: Transaction, key: int) -> None:
    """Leaves a note for the worker of an active job."""
    tx.execute(_REQUEST_CANCEL, (tx.now_us, tx.now_us, key))


def delete(tx: Transaction, keys: Sequence[int]) -> list[tuple[int, str, int]]:
    """Removes jobs that are not active, and all that belongs to them; gives (key, queue, state) of each."""
    deleted: list[tuple[int, str, int, str | None]] = []
    for chunk in padded_chunks(keys):
        deleted += tx.rows(with_marks(_DELETE, len(chunk)), chunk)
    if not deleted:
        return []
    gone = [row[0] for row in deleted]
    for sql in _DELETE_OF.values():
        for chunk in padded_chunks(gone):
            tx.execute(with_marks(sql, len(chunk)), chunk)
    _delete_tags(tx, deleted)
    if not tx.on_postgres:  # There keys come from a sequence, which gives none of them twice.
        tx.execute(_REMEMBER_HIGHEST, (max(gone), max(gone)))
    return [(key, queue, state) for key, queue, state, _ in deleted]


def _delete_tags(tx: Transaction, deleted: Sequence[tuple[Any, ...]]) -> None:
    for key, _, _, tags_json in deleted:
        if tags_json is not None:
            for tag in msgspec.json.decode(tags_json):
                tx.execute(_DELETE_TAG, (tag, key))
