"""What crosses the border of the engine: jobs and the results of operations, all frozen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple, TypedDict

import msgspec

from pyqueue.core import ids
from pyqueue.core.backoff import BACKOFFS, Backoff
from pyqueue.core.clock import to_datetime
from pyqueue.core.errors import PyQueueError
from pyqueue.core.follows import ParentFailure
from pyqueue.core.quota import QueueBreaker, QueueLimit
from pyqueue.core.states import ACTIVE, STATES, JobState
from pyqueue.core.transitions import Event
from pyqueue.core.uniqueness import UniqueMode


class JobOptions(TypedDict, total=False):
    """How a job is run: the keyword arguments of `push`, and keys of the mappings of `push_many`.

    None means "not given" everywhere. Times in milliseconds.
    """

    priority: int | None  # higher is pulled first; default 0
    delay_ms: int | None  # not to be pulled before this much later
    run_at: datetime | timedelta | None  # the same as a moment (aware) or a timedelta
    max_attempts: int | None  # total tries, not extra ones; default 3
    backoff: Backoff | str | None  # fixed | linear | exponential (default)
    backoff_delay_ms: int | None  # default 1,000; 0 retries at once
    backoff_jitter: bool | None  # draw each wait from the upper half of it
    ttl_ms: int | None  # cancelled if not started this long after the push
    timeout_ms: int | None  # a run that takes longer counts as a failed attempt
    unique_key: str | None  # at most one live job of the queue holds it
    unique_mode: UniqueMode | str | None  # when it is held: reject (default) | ignore | replace | debounce | throttle
    unique_for_ms: int | None  # the key is held this long from the push, also when the job has completed
    unique_states: Sequence[JobState | str] | None  # the states in which another job counts
    tags: Sequence[str] | None
    group_id: str | None  # the groups of a queue take turns
    limit_key: str | None  # limits of the queue for this key hold it; the keys of a queue take turns too
    lifo: bool | None  # newest first, and before the others of its priority
    remove_on_complete: bool | None
    remove_on_fail: bool | None
    custom_id: str | None
    metadata: Any
    depends_on: Sequence[str] | None  # blocked until all of these have completed
    on_parent_failure: str | None  # when one of them ends otherwise: fail (default) | cancel | run | only
    flow_id: str | None


class Extras(msgspec.Struct, frozen=True, omit_defaults=True):
    """The options that are neither searched nor needed by SQL: one JSON column, mostly null."""

    ttl_ms: int | None = None
    backoff_jitter: bool = False
    lifo: bool = False
    remove_on_complete: bool = False
    remove_on_fail: bool = False
    on_parent_failure: ParentFailure = ParentFailure.FAIL

    @property
    def policy(self) -> int:
        """`on_parent_failure` as it is stored with each dependency."""
        return self.on_parent_failure.code


NO_EXTRAS: Final = Extras()
_decode_extras: Final = msgspec.json.Decoder(Extras).decode
_decode_json: Final = msgspec.json.decode


class LogEntry(NamedTuple):
    """One message that a job reported; `number` counts the messages of the job from 1."""

    at: datetime
    message: str
    number: int = 0


class LogPage(NamedTuple):
    """Messages of a job, and whether nothing will follow, since it has ended."""

    entries: list[LogEntry]
    is_over: bool


class Job(msgspec.Struct, frozen=True, dict=True, kw_only=False, eq=False):
    """A job as it was when it was read; it never changes.

    The first block of fields is the row as stored (times as integer microseconds, JSON
    as text); what users want is below: the same as Python values, decoded when asked for.
    """

    salt: int
    key: int
    queue: str
    name: str
    state_code: int
    priority: int
    data_json: str
    attempt: int  # failures so far, counted against max_attempts
    max_attempts: int
    backoff_code: int
    backoff_delay_ms: int
    timeout_ms: int | None
    run_us: int | None
    expires_us: int | None
    unique_key: str | None
    group_id: str | None
    flow_id: str | None
    custom_id: str | None
    tags_json: str | None
    metadata_json: str | None
    extras_json: str | None
    blocked_by: int | None  # parents not completed yet; None: it never had any
    lease_token: int
    lease_us: int | None
    worker_id: str | None
    cancel_us: int | None
    started_us: int | None
    heartbeat_us: int | None
    completed_us: int | None
    updated_us: int | None
    progress: int | None
    result_json: str | None
    last_error: str | None
    raw_limit_key: str | None = None  # '' for none, in a queue whose keys are limited
    parents: tuple[int, ...] = ()
    logs: tuple[LogEntry, ...] = ()

    @cached_property
    def id(self) -> str:
        """The UUIDv7 of the job."""
        return ids.to_text(self.key, self.salt)

    @property
    def state(self) -> JobState:
        return STATES[self.state_code]

    @property
    def lease(self) -> int | None:
        """The fencing token of the run in progress: 1 for the first run, and growing. None when not active."""
        return self.lease_token if self.state_code == ACTIVE else None

    @cached_property
    def data(self) -> Any:
        return _decode_json(self.data_json)

    @cached_property
    def result(self) -> Any:
        return None if self.result_json is None else _decode_json(self.result_json)

    @cached_property
    def metadata(self) -> Any:
        return None if self.metadata_json is None else _decode_json(self.metadata_json)

    @cached_property
    def tags(self) -> tuple[str, ...]:
        return () if self.tags_json is None else tuple(_decode_json(self.tags_json))

    @property
    def limit_key(self) -> str | None:
        return self.raw_limit_key or None

    @cached_property
    def depends_on(self) -> tuple[str, ...]:
        """Ids of the jobs that this one waits or waited for (filled by `get_job` and `pull`)."""
        return tuple(ids.to_text(parent, self.salt) for parent in self.parents)

    @cached_property
    def _extras(self) -> Extras:
        return NO_EXTRAS if self.extras_json is None else _decode_extras(self.extras_json)

    @property
    def backoff(self) -> Backoff:
        return BACKOFFS[self.backoff_code]

    @property
    def backoff_jitter(self) -> bool:
        return self._extras.backoff_jitter

    @property
    def ttl_ms(self) -> int | None:
        return self._extras.ttl_ms

    @property
    def lifo(self) -> bool:
        return self._extras.lifo

    @property
    def remove_on_complete(self) -> bool:
        return self._extras.remove_on_complete

    @property
    def remove_on_fail(self) -> bool:
        return self._extras.remove_on_fail

    @property
    def on_parent_failure(self) -> ParentFailure:
        """What becomes of it when a parent ends without completing."""
        return self._extras.on_parent_failure

    @property
    def cancel_requested(self) -> bool:
        """Someone cancelled the job while it ran: its worker should stop, and no retry will follow."""
        return self.cancel_us is not None

    @property
    def created_at(self) -> datetime:
        return to_datetime(ids.created_us(self.key))

    @property
    def updated_at(self) -> datetime:
        return self.created_at if self.updated_us is None else to_datetime(self.updated_us)

    @property
    def started_at(self) -> datetime | None:
        return _moment(self.started_us)

    @property
    def completed_at(self) -> datetime | None:
        return _moment(self.completed_us)

    @property
    def delay_until(self) -> datetime | None:
        return _moment(self.run_us)

    @property
    def expires_at(self) -> datetime | None:
        return _moment(self.expires_us)

    @property
    def lease_until(self) -> datetime | None:
        return _moment(self.lease_us)

    @property
    def last_heartbeat(self) -> datetime | None:
        return _moment(self.heartbeat_us)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.queue}/{self.name} {self.state}>"


def _moment(us: int | None) -> datetime | None:
    return None if us is None else to_datetime(us)


class Attempt(msgspec.Struct, frozen=True):
    """One failed try. `number` is the lease token of that run, so it also tells which run it was."""

    number: int
    worker_id: str | None
    started_at: datetime | None
    failed_at: datetime
    error: str


class StepResult(msgspec.Struct, frozen=True):
    """What a step of a job gave, as it is kept by `once`."""

    name: str
    kept_at: datetime
    result: Any


class FailResult(msgspec.Struct, frozen=True):
    """Where a failed job went. `next_attempt_at` is None when it may run at once, or never again."""

    state: JobState
    will_retry: bool
    next_attempt_at: datetime | None


class AckResult(NamedTuple):
    """What became of one item of `ack_many`: `job` as it was given, and why it was refused, if it was."""

    job: Job | str
    error: PyQueueError | None = None

    @property
    def id(self) -> str:
        return self.job if isinstance(self.job, str) else self.job.id

    @property
    def ok(self) -> bool:
        return self.error is None


class HeartbeatResult(msgspec.Struct, frozen=True):
    """The lease as extended, and whether the job was cancelled meanwhile."""

    lease_until: datetime
    cancel_requested: bool


class QueueCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of a queue are in each state."""

    waiting: int = 0
    delayed: int = 0
    blocked: int = 0
    active: int = 0
    completed: int = 0
    dlq: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, state.value) for state in STATES)


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue: it exists while a job carries its name, or while it is paused or limited."""

    name: str
    counts: QueueCounts
    pushes_paused: bool
    pulls_paused: bool
    limits: tuple[QueueLimit, ...] = ()
    breaker: QueueBreaker | None = None

    @property
    def is_paused(self) -> bool:
        return self.pushes_paused or self.pulls_paused


class JobPage(msgspec.Struct, frozen=True):
    """One page of a list, newest first. Pass `next_cursor` as `cursor` for the next; None at the end."""

    jobs: list[Job]
    next_cursor: str | None


class JobChange(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one job, as it was committed.

    `state` is the state after the change (None after a delete). `error` is set where a
    failure, an expiry or a cascade wrote one; `worker_id` where a worker was involved
    and is known. `position` is that of its commit in the event log, where it was read from there; all
    jobs of a batch share one.
    """

    event: Event
    job_id: str
    queue: str
    state: JobState | None
    at_us: int
    error: str | None = None
    worker_id: str | None = None
    position: int | None = None

    @property
    def at(self) -> datetime:
        """The moment of the change: aware, UTC."""
        return to_datetime(self.at_us)


class EventPage(msgspec.Struct, frozen=True):
    """What happened behind a position of the event log, in the order of the commits.

    Pass `position` on as `after` for what comes next. `has_gap`: the log does not reach back to where
    you were, so something is missing; look at the jobs themselves.
    """

    changes: list[JobChange]
    position: int
    has_gap: bool


class HousekeepingReport(msgspec.Struct, frozen=True):
    """What one pass of housekeeping did, and when it should run again (None: nothing is due)."""

    promoted: int
    expired: int
    stalled: int
    timed_out: int
    removed: int
    next_due_at: datetime | None
    fired: int = 0  # jobs pushed by schedules
