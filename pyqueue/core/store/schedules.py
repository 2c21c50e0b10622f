"""Schedules and what came of their moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pyqueue.core.clock import to_datetime
from pyqueue.core.schedule import Definition, Schedule, ScheduleRun
from pyqueue.core.store.transaction import Transaction

# Column by field of `Schedule`, in one order for all statements.
_DEFINED: Final = {
    "queue": "queue",
    "job_name": "job_name",
    "job_data_json": "job_data",
    "job_options_json": "job_options",
    "cron_expr": "cron_expr",
    "every_ms": "every_ms",
    "timezone": "timezone",
    "max_executions": "max_executions",
    "start_us": "start_at",
    "end_us": "end_at",
    "misfire": "misfire",
    "backfill_max": "backfill_max",
    "overlap": "overlap",
    "jitter_ms": "jitter_ms",
}
_SET_WITH_IT: Final = {
    "origin": "origin",
    "anchor_us": "anchor_at",
    "next_us": "next_run_at",
    "updated_us": "updated_at",
}
_HISTORY: Final = {
    "paused_us": "paused_at",
    "execution_count": "execution_count",
    "last_run_us": "last_run_at",
    "last_due_us": "last_due_at",
    "last_job_key": "last_job_id",
    "last_error": "last_error",
    "created_us": "created_at",
}
_COLUMNS: Final = {"name": "name"} | _DEFINED | _SET_WITH_IT | _HISTORY
_FIELDS: Final = tuple(_COLUMNS)
_ALL: Final = ", ".join(_COLUMNS.values())

_GET: Final = f"SELECT {_ALL} FROM pyqueue_schedule WHERE name = ? /*pg FOR UPDATE*/"
_LOOK_AT: Final = f"SELECT {_ALL} FROM pyqueue_schedule WHERE name = ?"
_LIST: Final = f"SELECT {_ALL} FROM pyqueue_schedule ORDER BY name"
_OF_CODE: Final = "SELECT name, queue FROM pyqueue_schedule WHERE origin = 'code' ORDER BY name"

# What is kept of a schedule that is there already is its history: counts, pauses and last runs.
_WRITTEN: Final = ("name", *_DEFINED, *_SET_WITH_IT, "created_us")
_PUT: Final = f"""
    INSERT INTO pyqueue_schedule ({", ".join(_COLUMNS[field] for field in _WRITTEN)})
    VALUES ({", ".join("?" * len(_WRITTEN))})
    ON CONFLICT (name) DO UPDATE
    SET {", ".join(f"{column} = excluded.{column}" for column in (*_DEFINED.values(), *_SET_WITH_IT.values()))}
"""
_DELETE: Final = "DELETE FROM pyqueue_schedule WHERE name = ?"
_DELETE_RUNS: Final = "DELETE FROM pyqueue_schedule_run WHERE schedule = ?"
_PAUSE: Final = """
    UPDATE pyqueue_schedule SET paused_at = coalesce(paused_at, ?), updated_at = ? WHERE name = ?
"""
_RESUME: Final = "UPDATE pyqueue_schedule SET paused_at = NULL, updated_at = ? WHERE name = ?"

_DUE: Final = f"""
    SELECT {_ALL} FROM pyqueue_schedule
    WHERE next_run_at <= ? AND next_run_at IS NOT NULL AND paused_at IS NULL
    ORDER BY next_run_at LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/
"""
_NEXT_DUE: Final = "SELECT min(next_run_at) FROM pyqueue_schedule WHERE next_run_at IS NOT NULL AND paused_at IS NULL"

# On from the moment that was due, if no other process has gone on from it and nobody has changed it.
_ADVANCE: Final = """
    UPDATE pyqueue_schedule
    SET next_run_at = ?, anchor_at = ?, execution_count = execution_count + ?,
        last_run_at = coalesce(?, last_run_at), last_due_at = coalesce(?, last_due_at),
        last_job_id = coalesce(?, last_job_id), last_error = ?, updated_at = ?
    WHERE name = ? AND next_run_at = ? AND paused_at IS NULL
"""
_NOTE_TRIGGER: Final = "UPDATE pyqueue_schedule SET last_run_at = ?, last_job_id = ?, updated_at = ? WHERE name = ?"

# The guard of "once per moment": whoever comes second finds the row and pushes nothing.
_BEGIN_RUN: Final = """
    INSERT INTO pyqueue_schedule_run (schedule, due_at, fired_at, is_manual) VALUES (?, ?, ?, ?)
    ON CONFLICT (schedule, due_at) DO NOTHING RETURNING due_at
"""
_END_RUN: Final = "UPDATE pyqueue_schedule_run SET job_id = ?, error = ? WHERE schedule = ? AND due_at = ?"
_FORGET_RUNS: Final = """
    DELETE FROM pyqueue_schedule_run
    WHERE schedule = ? AND due_at < (
        SELECT due_at FROM pyqueue_schedule_run WHERE schedule = ? ORDER BY due_at DESC LIMIT 1 OFFSET ?
    )
"""
_RUNS: Final = """
    SELECT due_at, fired_at, job_id, error, is_manual FROM pyqueue_schedule_run
    WHERE schedule = ? ORDER BY due_at DESC LIMIT ?
"""
# By the runs that are kept, and by the last job, whose run may be gone behind those of moments without one.
_UNFINISHED: Final = """
    SELECT id, state FROM pyqueue_job
    WHERE state < 4 AND (
        id IN (SELECT job_id FROM pyqueue_schedule_run WHERE schedule = ? AND job_id IS NOT NULL)
        OR id = (SELECT last_job_id FROM pyqueue_schedule WHERE name = ?)
    )
    ORDER BY id
"""


def get(tx: Transaction, name: str) -> Schedule | None:
    """The schedule, kept from others until the end of this transaction."""
    return _one(tx.row(_GET, (name,)))


def look_at(tx: Transaction, name: str) -> Schedule | None:
    """The schedule, in a read."""
    return _one(tx.row(_LOOK_AT, (name,)))


def all_of_them(tx: Transaction) -> list[Schedule]:
    """Every schedule, by name."""
    return [_of_row(row) for row in tx.rows(_LIST)]


def made_in_code(tx: Transaction) -> dict[str, str]:
    """The queues of the schedules that decorators have made, by name."""
    return dict(tx.rows(_OF_CODE))


def put(
    tx: Transaction, name: str, definition: Definition, *, origin: str, anchor_us: int, next_us: int | None
) -> None:
    """Writes what a schedule is to do, new or in place of what it did; its history stays."""
    given = {"name": name, "origin": origin, "anchor_us": anchor_us, "next_us": next_us}
    moments = {"created_us": tx.now_us, "updated_us": tx.now_us}
    values = {field: getattr(definition, field) for field in _DEFINED} | given | moments
    tx.execute(_PUT, [values[field] for field in _WRITTEN])


def delete(tx: Transaction, name: str) -> bool:
    """Removes a schedule and what is known of its runs; its jobs stay."""
    tx.execute(_DELETE_RUNS, (name,))
    return tx.execute(_DELETE, (name,)).rowcount > 0


def pause(tx: Transaction, name: str) -> None:
    tx.execute(_PAUSE, (tx.now_us, tx.now_us, name))


def resume(tx: Transaction, name: str) -> None:
    tx.execute(_RESUME, (tx.now_us, name))


def due(tx: Transaction, limit: int) -> list[Schedule]:
    """The schedules of which a moment has come, the longest due first."""
    return [_of_row(row) for row in tx.rows(_DUE, (tx.now_us, limit))]


def next_due_us(tx: Transaction) -> int | None:
    """The next moment of any schedule."""
    moment: int | None = tx.row(_NEXT_DUE)[0]
    return moment


def advance(
    tx: Transaction,
    schedule: Schedule,
    *,
    next_us: int | None,
    anchor_us: int,
    pushed: int,
    last_due_us: int | None,
    last_job_key: int | None,
    last_error: str | None,
) -> None:
    """Moves a schedule on from the moment that was due."""
    ran_us = tx.now_us if pushed else None
    values = (next_us, anchor_us, pushed, ran_us, last_due_us, last_job_key, last_error, tx.now_us)
    tx.execute(_ADVANCE, (*values, schedule.name, schedule.next_us))


def note_trigger(tx: Transaction, name: str, job_key: int) -> None:
    """Notes a job that was pushed beside the timing."""
    tx.execute(_NOTE_TRIGGER, (tx.now_us, job_key, tx.now_us, name))


def begin_run(tx: Transaction, name: str, due_us: int, *, is_manual: bool) -> bool:
    """Takes a moment; False if it was taken before."""
    return tx.row(_BEGIN_RUN, (name, due_us, tx.now_us, int(is_manual))) is not None


def end_run(tx: Transaction, name: str, due_us: int, job_key: int | None, error: str | None) -> None:
    tx.execute(_END_RUN, (job_key, error, name, due_us))


def forget_runs(tx: Transaction, name: str, keep: int) -> None:
    """Drops all but the newest runs."""
    tx.execute(_FORGET_RUNS, (name, name, keep - 1))


def runs(tx: Transaction, name: str, limit: int) -> list[ScheduleRun]:
    """The newest runs, newest first."""
    return [
        ScheduleRun(
            schedule=name,
            due_at=to_datetime(due_us),
            fired_at=to_datetime(fired_us),
            job_id=None if key is None else tx.text_of(key),
            error=error,
            is_manual=bool(is_manual),
        )
        for due_us, fired_us, key, error, is_manual in tx.rows(_RUNS, (name, limit))
    ]


def unfinished(tx: Transaction, name: str) -> list[tuple[int, int]]:
    """The jobs of a schedule that have not finished: (key, state), oldest first."""
    return tx.rows(_UNFINISHED, (name, name))


def _one(row: Sequence[Any] | None) -> Schedule | None:
    return None if row is None else _of_row(row)


def _of_row(row: Sequence[Any]) -> Schedule:
    return Schedule(**dict(zip(_FIELDS, row, strict=True)))
