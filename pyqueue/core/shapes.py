"""Jobs and queues as JSON: the shapes of the wire format, used by every door that speaks JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from pyqueue.core import ids
from pyqueue.core.backoff import BACKOFFS
from pyqueue.core.clock import to_datetime
from pyqueue.core.job import Attempt, Job, LogEntry, QueueCounts, QueueInfo
from pyqueue.core.presence import WorkerInfo
from pyqueue.core.quota import QueueBreaker, QueueLimit
from pyqueue.core.schedule import Schedule, ScheduleRun
from pyqueue.core.states import ACTIVE, STATES
from pyqueue.core.webhook import Webhook

_encode: Final = msgspec.json.encode
_BACKOFFS: Final = tuple(backoff.value for backoff in BACKOFFS)
_STATES: Final = tuple(state.value for state in STATES)

# `metadata`, too, is one, but is left out when it is not set.
_WIRE_OPTIONS: Final = (
    "priority", "delay_ms", "max_attempts", "backoff", "backoff_delay_ms", "ttl_ms", "timeout_ms", "unique_key", "tags",
    "group_id", "lifo", "remove_on_complete", "remove_on_fail", "custom_id", "depends_on", "flow_id",
)  # fmt: skip
_JOB_IN_HAND_KEYS: Final = ("id", "name", "queue", "attempt", "started_at", "lease_until", "progress")
# What a job has that uses no option but a priority and has not run to an end: most of those that are pulled.
_NOTHING_SPECIAL: Final = (
    '"custom_id":null,"result":null,"progress":null,"logs":[],"delay_until":null,"completed_at":null,'
    '"last_error":null,"ttl_ms":null,"timeout_ms":null,"unique_key":null,"tags":[],"group_id":null,'
    '"depends_on":[],"flow_id":null,"lifo":false,"remove_on_complete":false,"remove_on_fail":false,'
    '"last_heartbeat":null}'
)


def job_json(job: Job) -> bytes:
    """A job as a JSON object; see `_job_text`."""
    return _job_text(job, ids.to_text(job.key, job.salt)).encode()


def jobs_json(jobs: Sequence[Job]) -> bytes:
    """Jobs of one database as a JSON array."""
    return f"[{','.join(job_texts(jobs))}]".encode()


def job_texts(jobs: Sequence[Job]) -> list[str]:
    """Jobs of one database as JSON objects."""
    return list(map(_job_text, jobs, ids.to_texts([job.key for job in jobs], jobs[0].salt))) if jobs else []


def fresh_job_texts(
    rows: Sequence[tuple[Any, ...]], salt: int, queue: str, *, started_us: int, lease_us: int, worker_id: str | None
) -> list[str]:
    """`job_texts` of active jobs in their first run that use no option but of retries and priority.

    A row is (key, name, priority, data, attempt, max_attempts, backoff, backoff_delay_ms, …). What comes behind the
    data is the same text in nearly all jobs of a pull.
    """
    texts = []
    last, rest = None, ""
    updated = moment_us_text(started_us)
    for job_id, row in zip(ids.to_texts([row[0] for row in rows], salt), rows, strict=True):
        key, name, priority, data, attempt, max_attempts, backoff, backoff_delay_ms, _, _, _ = row
        alike = key >> ids.SEQUENCE_BITS, priority, attempt, max_attempts, backoff, backoff_delay_ms
        if alike != last:
            last = alike
            run = _run_text(
                ACTIVE, priority, started_us, max_attempts, attempt, backoff, backoff_delay_ms, worker_id, 1, lease_us
            )
            created = moment_us_text(ids.created_us(key))
            rest = f'"created_at":"{created}","updated_at":"{updated}",{run}{_NOTHING_SPECIAL}'
        texts.append(f'{{"id":"{job_id}","name":"{name}","queue":"{queue}","data":{data},{rest}')
    return texts


def _job_text(job: Job, job_id: str) -> str:
    """A job as a JSON object, written by a template; `data`, `result`, `metadata` and `tags` are the text as stored.

    Every key of the wire format is there, null when unset; only `metadata` is left out when there is none.
    Of our own keys `lease` and `lease_until` are there while the job is active, and `expires_at`, `limit_key`,
    `backoff_jitter` and `cancel_requested` where they say something. Decoding and encoding again, or
    building a dict, costs five times as much, which is most of what a pull costs beside the statement.
    """
    created = moment_us_text(ids.created_us(job.key))
    updated = created if job.updated_us is None else moment_us_text(job.updated_us)
    run = _run_text(
        job.state_code, job.priority, job.started_us, job.max_attempts, job.attempt, job.backoff_code,
        job.backoff_delay_ms, job.worker_id, job.lease_token, job.lease_us,
    )  # fmt: skip
    rest = _NOTHING_SPECIAL if _is_plain(job) else _special(job)
    return (
        f'{{"id":"{job_id}","name":"{job.name}","queue":"{job.queue}","data":{job.data_json},'
        f'"created_at":"{created}","updated_at":"{updated}",{run}{rest}'
    )


# The jobs of one pull have all of this in common, or nearly all.
@lru_cache(maxsize=256)
def _run_text(
    state: int,
    priority: int,
    started_us: int | None,
    max_attempts: int,
    attempt: int,
    backoff: int,
    backoff_delay_ms: int,
    worker_id: str | None,
    lease_token: int,
    lease_us: int | None,
) -> str:
    """The members that say how a job is run, and how far it is."""
    lease = f'"lease":{lease_token},"lease_until":{_moment(lease_us)},' if state == ACTIVE else ""
    return (
        f'"state":"{_STATES[state]}","priority":{priority},"started_at":{_moment(started_us)},'
        f'"max_attempts":{max_attempts},"attempt":{attempt},"backoff":"{_BACKOFFS[backoff]}",'
        f'"backoff_delay_ms":{backoff_delay_ms},"worker_id":{_text(worker_id)},{lease}'
    )


def _is_plain(job: Job) -> bool:
    return (
        job.extras_json is None
        and job.custom_id is None
        and job.result_json is None
        and job.progress is None
        and not job.logs
        and job.run_us is None
        and job.completed_us is None
        and job.last_error is None
        and job.timeout_ms is None
        and job.unique_key is None
        and job.tags_json is None
        and job.group_id is None
        and job.limit_key is None
        and not job.parents
        and job.flow_id is None
        and job.heartbeat_us is None
        and job.metadata_json is None
        and job.expires_us is None
        and job.cancel_us is None
    )


def _special(job: Job) -> str:
    """The rest of an object that has something in it."""
    ours = "" if job.metadata_json is None else f'"metadata":{job.metadata_json},'
    if job.expires_us is not None:
        ours += f'"expires_at":{_moment(job.expires_us)},'
    if job.limit_key is not None:
        ours += f'"limit_key":{_text(job.limit_key)},'
    if job.backoff_jitter:
        ours += '"backoff_jitter":true,'
    if job.cancel_requested:
        ours += '"cancel_requested":true,'
    return (
        f'{ours}"custom_id":{_text(job.custom_id)},"result":{job.result_json or "null"},'
        f'"progress":{_number(job.progress)},"logs":{_logs(job.logs)},"delay_until":{_moment(job.run_us)},'
        f'"completed_at":{_moment(job.completed_us)},"last_error":{_text(job.last_error)},'
        f'"ttl_ms":{_number(job.ttl_ms)},"timeout_ms":{_number(job.timeout_ms)},"unique_key":{_text(job.unique_key)},'
        f'"tags":{job.tags_json or "[]"},"group_id":{_text(job.group_id)},'
        f'"depends_on":{_json(job.depends_on)},"flow_id":{_text(job.flow_id)},"lifo":{_json(job.lifo)},'
        f'"remove_on_complete":{_json(job.remove_on_complete)},"remove_on_fail":{_json(job.remove_on_fail)},'
        f'"last_heartbeat":{_moment(job.heartbeat_us)}}}'
    )


def _logs(logs: Sequence[LogEntry]) -> str:
    return _json([log_object(entry) for entry in logs]) if logs else "[]"


def _moment(us: int | None) -> str:
    return "null" if us is None else f'"{moment_us_text(us)}"'


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _text(value: str | None) -> str:
    return "null" if value is None else _json(value)


def _json(value: Any) -> str:
    return _encode(value).decode()


def job_object(job: Job) -> dict[str, Any]:
    """`job_json`, decoded: for those who want to look into it."""
    decoded: dict[str, Any] = msgspec.json.decode(job_json(job))
    return decoded


def log_object(entry: LogEntry) -> dict[str, str]:
    return {"timestamp": moment_text(entry.at), "message": entry.message}


def attempt_object(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker_id": attempt.worker_id,
        "started_at": None if attempt.started_at is None else moment_text(attempt.started_at),
        "failed_at": moment_text(attempt.failed_at),
        "error": attempt.error,
    }


def counts_object(counts: QueueCounts) -> dict[str, int]:
    """The counts of each state, and `failed`, which the wire format has and nothing ever enters."""
    return {state.value: getattr(counts, state.value) for state in STATES} | {"failed": 0}


def queue_object(info: QueueInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "counts": counts_object(info.counts),
        "pushes_paused": info.pushes_paused,
        "pulls_paused": info.pulls_paused,
        "limits": list(map(limit_object, info.limits)),
        "breaker": None if info.breaker is None else breaker_object(info.breaker),
    }


def worker_object(info: WorkerInfo) -> dict[str, Any]:
    """A worker, with the jobs it holds in the few keys that tell which they are."""
    return {
        **{field: getattr(info, field) for field in WorkerInfo.__struct_fields__},
        "started_at": moment_text(info.started_at),
        "seen_at": moment_text(info.seen_at),
        "jobs": [{key: job_object(job)[key] for key in _JOB_IN_HAND_KEYS} for job in info.jobs],
    }


def limit_object(limit: QueueLimit) -> dict[str, Any]:
    return {field: getattr(limit, field) for field in QueueLimit.__struct_fields__}


def breaker_object(breaker: QueueBreaker) -> dict[str, Any]:
    return {
        **{field: getattr(breaker, field) for field in QueueBreaker.__struct_fields__},
        "open_until": None if breaker.open_until is None else moment_text(breaker.open_until),
    }


def schedule_object(schedule: Schedule) -> dict[str, Any]:
    """A schedule with every key of the wire format present, null when unset, and ours behind them.

    One that has reached its maximum is shown as paused, as RustQueue does.
    """
    return {
        "name": schedule.name,
        "queue": schedule.queue,
        "job_name": schedule.job_name,
        "job_data": schedule.job_data,
        "job_options": None if schedule.job_options is None else _options_object(schedule.job_options),
        "cron_expr": schedule.cron_expr,
        "every_ms": schedule.every_ms,
        "timezone": schedule.timezone,
        "max_executions": schedule.max_executions,
        "execution_count": schedule.execution_count,
        "paused": schedule.is_paused or schedule.is_exhausted,
        "last_run_at": _optional(schedule.last_run_at),
        "next_run_at": _optional(schedule.next_run_at),
        "created_at": moment_text(schedule.created_at),
        "updated_at": moment_text(schedule.updated_at),
        "start_at": _optional(schedule.start_at),
        "end_at": _optional(schedule.end_at),
        "misfire": schedule.misfire,
        "backfill_max": schedule.backfill_max,
        "overlap": schedule.overlap,
        "jitter_ms": schedule.jitter_ms,
        "finished": schedule.is_finished,
        "origin": schedule.origin,
        "last_error": schedule.last_error,
    }


def _options_object(options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the wire format, null when unset; `metadata` is left out then, and so are options of ours."""
    return {**{key: options.get(key) for key in _WIRE_OPTIONS}, **options}


def schedule_run_object(run: ScheduleRun) -> dict[str, Any]:
    return {
        "due_at": moment_text(run.due_at),
        "fired_at": moment_text(run.fired_at),
        "job_id": run.job_id,
        "error": run.error,
        "is_manual": run.is_manual,
    }


def _optional(moment: datetime | None) -> str | None:
    return None if moment is None else moment_text(moment)


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC, with `Z`."""
    return moment.isoformat().replace("+00:00", "Z")


# The jobs of one push or pull share their times, and nearly all times of a reply lie within the same few seconds.
@lru_cache(maxsize=1_024)
def moment_us_text(us: int) -> str:
    """`moment_text` of a stored time, always with six digits."""
    return f"{_second_text(us // 1_000_000)}.{us % 1_000_000:06d}Z"


@lru_cache(maxsize=256)
def _second_text(second: int) -> str:
    return to_datetime(second * 1_000_000).isoformat()[:19]


def webhook_object(found: Webhook) -> dict[str, Any]:
    """A webhook, without its secret."""
    return {
        "id": found.id,
        "url": found.url,
        "events": found.events,
        "queues": found.queues,
        "active": found.is_active,
        "created_at": moment_text(found.created_at),
        "updated_at": moment_text(found.updated_at),
        "has_secret": found.secret is not None,
        "failures": found.failures,
        "last_error": found.last_error,
    }
