"""The workers that live: a row each, renewed by its beat."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec

from pyqueue.core.clock import to_datetime
from pyqueue.core.job import Job
from pyqueue.core.presence import Presence, WorkerInfo
from pyqueue.core.states import ACTIVE
from pyqueue.core.store import jobs
from pyqueue.core.store.transaction import Transaction

# The row may be gone though its worker lives: a machine that was asleep was taken for dead.
_NOTE: Final = """
    INSERT INTO pyqueue_worker
        (id, name, host, pid, version, mode, concurrency, queues, tasks, started_at, seen_at, jobs)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, jobs = excluded.jobs
"""
_FORGET: Final = "DELETE FROM pyqueue_worker WHERE id = ?"
_FORGET_DEAD: Final = "DELETE FROM pyqueue_worker WHERE seen_at < ?"

_JOBS_SHOWN: Final = 1_000


def note(tx: Transaction, presence: Presence, jobs_in_hand: int) -> None:
    """Notes that a worker is there."""
    who = (presence.id, presence.name, presence.host, presence.pid, presence.version, presence.mode)
    what = (presence.concurrency, _json(presence.queues), _json(presence.tasks))
    tx.execute(_NOTE, (*who, *what, presence.started_us, tx.now_us, jobs_in_hand))


def forget(tx: Transaction, worker_id: str) -> None:
    """Takes out a worker that has ended."""
    tx.execute(_FORGET, (worker_id,))


def forget_dead(tx: Transaction, before_us: int) -> None:
    """Takes out the workers that were not heard of since."""
    tx.execute(_FORGET_DEAD, (before_us,))


def seen_since(tx: Transaction, since_us: int) -> list[WorkerInfo]:
    """The workers that were heard of since, oldest first, with the jobs they hold."""
    from pyqueue.core.store.models import WorkerRow

    query = WorkerRow.select().where(WorkerRow.seen_at >= since_us).order_by(WorkerRow.started_at, WorkerRow.id)
    rows = tx.rows(*query.sql())
    held = _jobs_of_workers(tx) if rows else {}
    return [
        WorkerInfo(
            id=id_,
            name=name,
            host=host,
            pid=pid,
            version=version,
            mode=mode,
            concurrency=concurrency,
            queues=msgspec.json.decode(queues, type=tuple[str, ...]),
            tasks=msgspec.json.decode(tasks, type=tuple[str, ...]),
            started_at=to_datetime(started_us),
            seen_at=to_datetime(seen_us),
            jobs_in_hand=in_hand,
            jobs=tuple(held.get(id_, ())),
        )
        for id_, name, host, pid, version, mode, concurrency, queues, tasks, started_us, seen_us, in_hand in rows
    ]


def _jobs_of_workers(tx: Transaction) -> dict[str | None, list[Job]]:
    """Active jobs by worker: all are looked at, which are as many as workers can hold."""
    from peewee import SQL

    from pyqueue.core.store.models import JobRow

    query = (
        JobRow.select(*jobs.fields())
        .where(JobRow.state == SQL(str(ACTIVE)), JobRow.worker_id.is_null(is_null=False))
        .order_by(JobRow.started_at, JobRow.id)
        .limit(_JOBS_SHOWN)
    )
    by_worker: dict[str | None, list[Job]] = defaultdict(list)
    for row in tx.rows(*query.sql()):
        job = Job(tx.salt, *row)
        by_worker[job.worker_id].append(job)
    return by_worker


def _json(names: tuple[str, ...]) -> str:
    return msgspec.json.encode(names).decode()
