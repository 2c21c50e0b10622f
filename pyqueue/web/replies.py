"""The forms of replies, for the OpenAPI document. What is sent is written by `answers`; a test compares."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pyqueue.core.backoff import Backoff
from pyqueue.core.states import JobState

Ok = Literal[True]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
JobId = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class Log(Struct):
    timestamp: Moment
    message: str


class Job(Struct):
    """A job. Ids are UUIDv7, times RFC 3339 in UTC, durations milliseconds."""

    id: JobId
    custom_id: str | None
    name: str
    queue: str
    data: Any
    result: Any
    state: JobState
    progress: int | None
    logs: list[Log]
    priority: int
    delay_until: Moment | None
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    completed_at: Moment | None
    max_attempts: int
    attempt: int
    backoff: Backoff
    backoff_delay_ms: int
    last_error: str | None
    ttl_ms: int | None
    timeout_ms: int | None
    unique_key: str | None
    tags: list[str]
    group_id: str | None
    depends_on: list[JobId]
    flow_id: str | None
    lifo: bool
    remove_on_complete: bool
    remove_on_fail: bool
    worker_id: str | None
    last_heartbeat: Moment | None
    metadata: Any = UNSET
    lease: int | UnsetType = UNSET
    lease_until: Moment | UnsetType | None = UNSET
    expires_at: Moment | UnsetType = UNSET
    limit_key: str | UnsetType = UNSET
    backoff_jitter: bool | UnsetType = UNSET
    cancel_requested: bool | UnsetType = UNSET


class Done(Struct):
    ok: Ok


class Cleared(Struct):
    ok: Ok
    cleared: bool


class Pushed(Struct):
    ok: Ok
    id: JobId


class PushedMany(Struct):
    ok: Ok
    ids: list[JobId]


class OneJob(Struct):
    ok: Ok
    job: Job


class PulledOne(Struct):
    ok: Ok
    job: Job | None


class PulledMany(Struct):
    ok: Ok
    jobs: list[Job]


class JobPage(Struct):
    ok: Ok
    jobs: list[Job]
    next_cursor: str | None


class Failed(Struct):
    ok: Ok
    retry: bool
    next_attempt_at: Moment | UnsetType = UNSET


class KeptAlive(Struct):
    ok: Ok
    lease_until: Moment
    cancel_requested: bool


class Cancelled(Struct):
    ok: Ok
    state: JobState


class ErrorOfItem(Struct):
    code: str
    message: str


class AckOutcome(Struct):
    id: str
    ok: bool
    error: ErrorOfItem | UnsetType = UNSET


class ErrorFacts(Struct):
    code: str
    message: str
    details: Any


class AckBatch(Struct):
    """`ok` only if all of them were acknowledged."""

    ok: bool
    acked: int
    failed: int
    results: list[AckOutcome]
    error: ErrorFacts | UnsetType = UNSET


class Retried(Struct):
    ok: Ok
    retried: int


class Removed(Struct):
    ok: Ok
    removed: int


class Attempt(Struct):
    number: int
    worker_id: str | None
    started_at: Moment | None
    failed_at: Moment
    error: str


class Attempts(Struct):
    ok: Ok
    attempts: list[Attempt]


class QueueCounts(Struct):
    waiting: int
    delayed: int
    blocked: int
    active: int
    completed: int
    dlq: int
    cancelled: int
    failed: int


class Counts(Struct):
    ok: Ok
    counts: QueueCounts


class Limit(Struct):
    queue: str
    key: str | None
    concurrency: int | None
    rate: float | None
    per_ms: int | None
    burst: int | None
    limits_pushes: bool


class Breaker(Struct):
    failures_max: int
    cooldown_ms: int | None
    failures: int
    state: str
    open_until: Moment | None


class Queue(Struct):
    name: str
    counts: QueueCounts
    pushes_paused: bool
    pulls_paused: bool
    limits: list[Limit]
    breaker: Breaker | None


class Queues(Struct):
    ok: Ok
    queues: list[Queue]


class FlowSummary(Struct):
    total: int
    waiting: int
    active: int
    blocked: int
    completed: int
    failed: int
    dlq: int
    delayed: int
    cancelled: int


class Flow(Struct):
    ok: Ok
    flow_id: str
    jobs: list[Job]
    summary: FlowSummary
    progress: int


class Change(Struct):
    event: str
    cause: str
    job_id: JobId
    queue: str
    state: JobState | None
    timestamp: Moment
    error: str | None
    worker_id: str | None


class EventPage(Struct):
    ok: Ok
    events: list[Change]
    position: int
    has_gap: bool


class Affected(Struct):
    """How many jobs were."""

    ok: Ok
    jobs: int


class Schedule(Struct):
    name: str
    queue: str
    job_name: str
    job_data: Any
    job_options: dict[str, Any] | None
    cron_expr: str | None
    every_ms: int | None
    timezone: str | None
    max_executions: int | None
    execution_count: int
    paused: bool
    last_run_at: Moment | None
    next_run_at: Moment | None
    created_at: Moment
    updated_at: Moment
    start_at: Moment | None
    end_at: Moment | None
    misfire: str
    backfill_max: int
    overlap: str
    jitter_ms: int
    finished: bool
    origin: str
    last_error: str | None


class OneSchedule(Struct):
    ok: Ok
    schedule: Schedule


class ScheduleAndMoments(OneSchedule):
    next_runs: list[Moment]


class Schedules(Struct):
    ok: Ok
    schedules: list[Schedule]


class ScheduleRun(Struct):
    due_at: Moment
    fired_at: Moment
    job_id: JobId | None
    error: str | None
    is_manual: bool


class ScheduleRuns(Struct):
    ok: Ok
    runs: list[ScheduleRun]


class Webhook(Struct):
    """`failures`: deliveries in a row that were given up; too many make it inactive."""

    id: str
    url: str
    events: list[str]
    queues: list[str]
    active: bool
    created_at: Moment
    updated_at: Moment
    has_secret: bool
    failures: int
    last_error: str | None


class OneWebhook(Struct):
    ok: Ok
    webhook: Webhook


class Webhooks(Struct):
    ok: Ok
    webhooks: list[Webhook]


class JobInHand(Struct):
    id: JobId
    name: str
    queue: str
    attempt: int
    started_at: Moment | None
    lease_until: Moment | None
    progress: int | None


class Worker(Struct):
    id: str
    name: str | None
    host: str
    pid: int
    version: str
    mode: str
    concurrency: int
    queues: list[str]
    tasks: list[str]
    started_at: Moment
    seen_at: Moment
    jobs_in_hand: int
    jobs: list[JobInHand]


class Workers(Struct):
    ok: Ok
    workers: list[Worker]


class Limits(Struct):
    ok: Ok
    limits: list[Limit]


class Health(Struct):
    ok: Ok
    status: Literal["healthy"]
    version: str
    uptime_seconds: int


class Error(Struct):
    """Every error has this form."""

    ok: Literal[False]
    error: ErrorFacts
