"""Reading jobs: one, some, or a page of a list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from pyqueue.core import binding
from pyqueue.core.clock import to_datetime
from pyqueue.core.job import Attempt, Job, LogEntry
from pyqueue.core.states import ACTIVE, BLOCKED
from pyqueue.core.store.rows import padded_chunks, with_marks
from pyqueue.core.store.transaction import Transaction

if TYPE_CHECKING:
    from peewee import Expression

# In the order of the fields of `Job`.
_COLUMNS: Final = (
    "id, queue, name, state, priority, data, attempt, max_attempts, backoff, backoff_delay_ms, timeout_ms, run_at,"
    " expires_at, unique_key, group_id, flow_id, custom_id, tags, metadata, extras, blocked_by, lease_token,"
    " lease_until, worker_id, cancel_requested_at, started_at, heartbeat_at, completed_at, updated_at, progress,"
    " result, last_error, limit_key"
)

_GET: Final = f"SELECT {_COLUMNS} FROM pyqueue_job WHERE id = ?"
_HOLD: Final = f"{_GET} /*pg FOR UPDATE*/"
_OF_FLOW: Final = f"SELECT {_COLUMNS} FROM pyqueue_job WHERE flow_id = ? AND flow_id IS NOT NULL ORDER BY id LIMIT ?"
_PARENTS: Final = """
    SELECT child_id, parent_id, binds FROM pyqueue_dependency WHERE child_id IN ({marks}) ORDER BY child_id, parent_id
"""
_BOUND: Final = """
    SELECT child_id, binds, coalesce(parent.result, pyqueue_dependency.result)
    FROM pyqueue_dependency LEFT JOIN pyqueue_job AS parent ON parent.id = parent_id
    WHERE child_id IN ({marks}) AND binds IS NOT NULL ORDER BY child_id, parent_id
"""
_QUEUES: Final = "SELECT id, queue FROM pyqueue_job WHERE id IN ({marks})"
_COMPLETED: Final = "SELECT id, flow_id, metadata, result FROM pyqueue_job WHERE id = ? AND state = 4"
_LOGS: Final = """
    SELECT job_id, logged_at, message, number FROM pyqueue_log WHERE job_id IN ({marks}) ORDER BY job_id, number
"""
_LOGS_AFTER: Final = """
    SELECT number, logged_at, message FROM pyqueue_log WHERE job_id = ? AND number > ? ORDER BY number LIMIT ?
"""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a list shows; None does not restrict."""

    queue: str | None = None
    state: int | None = None
    name: str | None = None
    tag: str | None = None
    flow_id: str | None = None
    custom_id: str | None = None
    from_key: int | None = None
    before_key: int | None = None


def get(tx: Transaction, key: int) -> Job | None:
    """The job with its logs and parents."""
    row = tx.row(_GET, (key,))
    return None if row is None else with_details(tx, [Job(tx.salt, *row)])[0]


def hold(tx: Transaction, key: int) -> Job | None:
    """The job without them, which nobody else changes until the end of the transaction."""
    row = tx.row(_HOLD, (key,))
    return None if row is None else Job(tx.salt, *row)


def queues_of(tx: Transaction, keys: Sequence[int]) -> dict[int, str]:
    """The queue of each of these jobs that exists."""
    return dict(_of_jobs(tx, _QUEUES, keys))


class Completed(NamedTuple):
    """What a follow-up takes from the job that it follows."""

    key: int
    flow_id: str | None
    metadata_json: str | None
    result_json: str | None


def completed(tx: Transaction, key: int) -> Completed:
    """The job that has just completed."""
    return Completed(*tx.row(_COMPLETED, (key,)))


def of_flow(tx: Transaction, flow_id: str, limit: int) -> list[Job]:
    """The oldest jobs of a flow, with their logs and parents."""
    return with_details(tx, [Job(tx.salt, *row) for row in tx.rows(_OF_FLOW, (flow_id, limit))])


def page(tx: Transaction, wanted: Filter, limit: int, *, before_key: int | None) -> list[Job]:
    """Up to `limit` jobs with keys below `before_key`, newest first, without logs and parents."""
    return [Job(tx.salt, *row) for row in tx.rows(*_selected(fields(), wanted, limit, before_key).sql())]


def keys_of(tx: Transaction, wanted: Filter, limit: int, *, before_key: int | None) -> list[int]:
    """The keys of such a page."""
    from pyqueue.core.store.models import JobRow

    return [key for (key,) in tx.rows(*_selected([JobRow.id], wanted, limit, before_key).sql())]


def _selected(columns: Sequence[Any], wanted: Filter, limit: int, before_key: int | None) -> Any:
    from pyqueue.core.store.models import (
        JobRow,  # peewee and its models are dear to import; most processes list nothing.
    )

    query = JobRow.select(*columns).order_by(JobRow.id.desc()).limit(limit)
    if before_key is not None:
        query = query.where(JobRow.id < before_key)
    for condition in _conditions(wanted):
        query = query.where(condition)
    return query


def fields() -> list[Any]:
    """The columns that make a `Job`, for a query of peewee."""
    from pyqueue.core.store.models import JobRow

    return [getattr(JobRow, column.strip()) for column in _COLUMNS.split(",")]


def _conditions(wanted: Filter) -> list[Expression]:
    from peewee import SQL

    from pyqueue.core.store.models import JobRow, TagRow

    conditions: list[Expression] = []
    if wanted.state is not None:
        conditions.append(JobRow.state == SQL(str(wanted.state)))
    for field in ("queue", "name", "flow_id", "custom_id"):
        value = getattr(wanted, field)
        if value is not None:
            conditions.append(getattr(JobRow, field) == value)
    if wanted.tag is not None:
        conditions.append(JobRow.id.in_(TagRow.select(TagRow.job_id).where(TagRow.tag == wanted.tag)))
    if wanted.from_key is not None:
        conditions.append(JobRow.id >= wanted.from_key)
    if wanted.before_key is not None:
        conditions.append(JobRow.id < wanted.before_key)
    return conditions


def attempts(tx: Transaction, key: int) -> list[Attempt]:
    """The failed tries of a job, oldest first."""
    from pyqueue.core.store.models import AttemptRow

    wanted = (AttemptRow.number, AttemptRow.worker_id, AttemptRow.started_at, AttemptRow.failed_at, AttemptRow.error)
    query = AttemptRow.select(*wanted).where(AttemptRow.job_id == key).order_by(AttemptRow.number)
    return [
        Attempt(number, worker_id, None if started is None else to_datetime(started), to_datetime(failed), error)
        for number, worker_id, started, failed, error in tx.rows(*query.sql())
    ]


def logs_after(tx: Transaction, key: int, after: int, limit: int) -> list[LogEntry]:
    """The messages of a job behind a number, oldest first."""
    rows = tx.rows(_LOGS_AFTER, (key, after, limit))
    return [LogEntry(to_datetime(logged_us), message, number) for number, logged_us, message in rows]


def with_details(tx: Transaction, jobs: Sequence[Job]) -> list[Job]:
    """The same jobs with their logs and parents, looked up only where there can be any."""
    children = [job.key for job in jobs if job.blocked_by is not None]
    # A job sent round again has no progress, but the log of its earlier runs.
    reporters = [job.key for job in jobs if job.progress is not None or job.lease_token > (job.state_code == ACTIVE)]
    if not children and not reporters:
        return list(jobs)
    parents: dict[int, list[int]] = defaultdict(list)
    bound: set[int] = set()
    for child, parent, binds in _of_jobs(tx, _PARENTS, children):
        parents[child].append(parent)
        if binds is not None:
            bound.add(child)
    if bound:
        jobs = _with_bound_data(tx, jobs, bound)
    logs: dict[int, list[LogEntry]] = defaultdict(list)
    for key, logged_us, message, number in _of_jobs(tx, _LOGS, reporters):
        logs[key].append(LogEntry(to_datetime(logged_us), message, number))
    return [
        msgspec.structs.replace(job, parents=tuple(parents.get(job.key, ())), logs=tuple(logs.get(job.key, ())))
        for job in jobs
    ]


def _with_bound_data(tx: Transaction, jobs: Sequence[Job], bound: set[int]) -> list[Job]:
    """Fills in the results of parents, for jobs that wait for none of them any more."""
    keys = [job.key for job in jobs if job.key in bound and job.state_code != BLOCKED]
    results: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    for child, binds, result in _of_jobs(tx, _BOUND, keys):
        results[child].append((binds, result))
    return [
        msgspec.structs.replace(job, data_json=binding.filled(job.data_json, results[job.key]))
        if job.key in results
        else job
        for job in jobs
    ]


def _of_jobs(tx: Transaction, sql: str, keys: Sequence[int]) -> list[Any]:
    return [row for chunk in padded_chunks(keys) for row in tx.rows(with_marks(sql, len(chunk)), chunk)]
