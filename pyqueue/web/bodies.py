"""The bodies and queries of requests: what may be sent, with its types and ranges.

They are the schemas of the OpenAPI document too. Keys that are not here are ignored, as the wire format asks;
null is the same as leaving a key out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from pyqueue.core import limits
from pyqueue.core.backoff import Backoff
from pyqueue.core.engine.bulk import BulkAction
from pyqueue.core.follows import ParentFailure
from pyqueue.core.schedule import Misfire, Overlap
from pyqueue.core.states import JobState
from pyqueue.core.uniqueness import UniqueMode

# A reply that comes later than this, a proxy on the way has given up.
WAIT_MS_MAX: Final = 60_000

_NULL: Final = Raw(b"null")

# JSON that is stored as it was sent.
Text = Raw | UnsetType
Duration = Annotated[int, Meta(ge=0, le=limits.DURATION_MS_MAX)]
Count = Annotated[int, Meta(ge=0)]
Percent = Annotated[int, Meta(ge=0)]
LeaseMs = Annotated[int, Meta(ge=limits.LEASE_MS_MIN, le=limits.LEASE_MS_MAX)]


class Options(Struct, kw_only=True):
    """How a job is run; times in milliseconds."""

    priority: Annotated[int, Meta(ge=-(2**31), le=limits.PRIORITY_MAX)] | None = None
    delay_ms: Duration | None = None
    run_at: datetime | None = None
    max_attempts: Annotated[int, Meta(ge=0, le=limits.ATTEMPTS_MAX)] | None = None
    backoff: Backoff | None = None
    backoff_delay_ms: Duration | None = None
    backoff_jitter: bool | None = None
    ttl_ms: Duration | None = None
    timeout_ms: Annotated[int, Meta(ge=1, le=limits.DURATION_MS_MAX)] | None = None
    unique_key: str | None = None
    unique_mode: UniqueMode | None = None
    unique_for_ms: Duration | None = None
    unique_states: list[JobState] | None = None
    tags: list[str] | None = None
    group_id: str | None = None
    limit_key: str | None = None
    lifo: bool | None = None
    remove_on_complete: bool | None = None
    remove_on_fail: bool | None = None
    custom_id: str | None = None
    metadata: Text = UNSET
    depends_on: list[str] | None = None
    on_parent_failure: ParentFailure | None = None
    flow_id: str | None = None

    def given(self) -> dict[str, Any]:
        """The options that were given."""
        return {
            option: value
            for option, value in structs.asdict(self).items()
            if value is not None and value is not UNSET and value != _NULL and option not in _NOT_OPTIONS
        }


class NewJob(Options, kw_only=True):
    """A job to push: options beside name and data, or under `options`; where both are given, those beside hold."""

    name: str
    data: Raw
    options: Options | None = None

    def merged(self) -> dict[str, Any]:
        """The options of both places."""
        return self.given() if self.options is None else self.options.given() | self.given()


_NOT_OPTIONS: Final = frozenset({"name", "data", "options"})


def result_of(text: Text) -> Raw | None:
    """A result that was sent; null is none."""
    return None if text is UNSET or text == _NULL else text


class AckBody(Struct):
    result: Text = UNSET
    lease: Count | None = None


class AckItem(Struct):
    id: str
    result: Text = UNSET
    lease: Count | None = None


class AckBatchBody(Struct):
    """`items` with a result each, or just `ids`; `items` holds if both are given."""

    items: list[AckItem] | None = None
    ids: list[str] | None = None


class FailBody(Struct):
    error: str
    lease: Count | None = None
    retry: bool = True
    delay_ms: Duration | None = None
    discard: bool = False


class ReleaseBody(Struct):
    delay_ms: Duration = 0
    lease: Count | None = None


class ProgressBody(Struct):
    progress: Percent
    message: str | None = None
    lease: Count | None = None


class HeartbeatBody(Struct):
    lease_ms: LeaseMs | None = None
    lease: Count | None = None


class CancelBody(Struct):
    """`running`: ask the worker of a job that runs to stop, in place of refusing."""

    running: bool = False


class PauseBody(Struct):
    pushes: bool = True
    pulls: bool = False


class PurgeBody(Struct):
    state: JobState | None = None


class BulkBody(Struct, kw_only=True):
    """What to do with all jobs of the queue that meet the conditions; null does not restrict."""

    action: BulkAction
    state: JobState | None = None
    name: str | None = None
    tag: str | None = None
    flow_id: str | None = None
    custom_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class IdsBody(Struct):
    ids: Annotated[list[str], Meta(max_length=limits.LIST_LIMIT_MAX)]


class ScheduleBody(Struct, kw_only=True):
    """A schedule; exactly one of `cron_expr` and `every_ms`. A new one fires at once unless told otherwise."""

    name: str
    queue: str
    job_name: str
    job_data: Text = UNSET
    job_options: Options | None = None
    cron_expr: str | None = None
    every_ms: Duration | None = None
    timezone: str | None = None
    max_executions: Count | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    misfire: Misfire | None = None
    backfill_max: Count | None = None
    overlap: Overlap | None = None
    jitter_ms: Duration | None = None
    fires_at_once: bool = True

    def given(self) -> dict[str, Any]:
        """The options that were given."""
        named = {"name", "queue", "job_name", "job_data", "job_options", "fires_at_once"}
        found = {key: value for key, value in structs.asdict(self).items() if value is not None and key not in named}
        return found if self.job_options is None else found | {"job_options": self.job_options.given()}


class ScheduleChanges(Struct, kw_only=True):
    """What is left out stays; null takes an option away."""

    queue: str | UnsetType = UNSET
    job_name: str | UnsetType = UNSET
    job_data: Text = UNSET
    job_options: Options | UnsetType | None = UNSET
    cron_expr: str | UnsetType | None = UNSET
    every_ms: Duration | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    max_executions: Count | UnsetType | None = UNSET
    start_at: datetime | UnsetType | None = UNSET
    end_at: datetime | UnsetType | None = UNSET
    misfire: Misfire | UnsetType | None = UNSET
    backfill_max: Count | UnsetType | None = UNSET
    overlap: Overlap | UnsetType | None = UNSET
    jitter_ms: Duration | UnsetType | None = UNSET

    def given(self) -> dict[str, Any]:
        """The changes that were given."""
        found = {key: value for key, value in structs.asdict(self).items() if value is not UNSET}
        return found | ({"job_options": self.job_options.given()} if isinstance(self.job_options, Options) else {})


class LimitBody(Struct, kw_only=True):
    """`key`: of the jobs with this limit_key; "*": of each key by itself; null: of all jobs of the queue."""

    key: str | None = None
    concurrency: Count | None = None
    rate: float | None = None
    per_ms: Annotated[int, Meta(ge=1, le=limits.DURATION_MS_MAX)] = 1_000
    burst: Count | None = None


class PushLimitBody(Struct, kw_only=True):
    rate: float
    per_ms: Annotated[int, Meta(ge=1, le=limits.DURATION_MS_MAX)] = 1_000
    burst: Count | None = None


class BreakerBody(Struct, kw_only=True):
    """`cooldown_ms` null: until the queue is resumed."""

    failures: Annotated[int, Meta(ge=1)]
    cooldown_ms: Duration | None = 60_000


class WebhookBody(Struct, kw_only=True):
    """`events`, such as `job_completed` or `job.completed`: none are the usual four; no `queues`: all of them."""

    url: Annotated[str, Meta(min_length=1)]
    events: list[str] | None = None
    queues: list[str] | None = None
    secret: str | None = None


class WebhookChanges(Struct, kw_only=True):
    """What is left out stays; an empty `secret` takes it away."""

    url: Annotated[str, Meta(min_length=1)] | None = None
    events: list[str] | None = None
    queues: list[str] | None = None
    secret: str | None = None
    active: bool | None = None


class NoQuery(Struct):
    """Nothing."""


class PullQuery(Struct):
    count: Count = 1
    wait_ms: Annotated[int, Meta(ge=0)] = 0
    lease_ms: LeaseMs | None = None
    worker_id: str | None = None


class LogsQuery(Struct):
    """`after`: only messages with a higher number."""

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    wait_ms: Annotated[int, Meta(ge=0)] = 0


class DlqQuery(Struct):
    limit: Count = 50
    cursor: str | None = None


class LimitQuery(Struct):
    key: str | None = None


class FlowQuery(Struct):
    limit: Count = limits.LIST_LIMIT_MAX


class RunsQuery(Struct):
    limit: Annotated[int, Meta(ge=1)] = limits.SCHEDULE_RUNS_KEPT


class JobsQuery(Struct):
    queue: str | None = None
    state: JobState | None = None
    name: str | None = None
    tag: str | None = None
    flow_id: str | None = None
    custom_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    limit: Annotated[int, Meta(ge=1)] = 100
    cursor: str | None = None


class DeliveriesQuery(Struct):
    state: JobState | None = None
    limit: Annotated[int, Meta(ge=1)] = 100
    cursor: str | None = None


class EventsQuery(Struct):
    after: Count | None = None
    limit: Annotated[int, Meta(ge=1)] = 1_000
