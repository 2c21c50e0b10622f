"""The tables of the engine as Django models, to be read through the ORM.

They are written by the engine only: use `queue`. Managed, although their migrations run the engine's own steps:
Django empties the tables of managed models between tests. `pyqueue_meta`, with the version of the schema, is no model.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import models

from pyqueue.contrib.django.fields import JsonTextField, MomentField, StateField, StoredJsonField
from pyqueue.contrib.django.handle import current
from pyqueue.contrib.django.stored import Stored
from pyqueue.core import ids
from pyqueue.core.clock import to_datetime
from pyqueue.core.states import STATES

_CHOICES: Final = [(state.code, state.value) for state in STATES]


class Job(Stored):
    """One job, live or finished. `state` is a number here: filter by `JobState.DLQ.code`."""

    id = models.BigIntegerField(primary_key=True)
    queue = models.TextField()
    name = models.TextField()
    state = StateField(choices=_CHOICES)
    priority = models.IntegerField()
    rank = models.BigIntegerField()
    data = StoredJsonField()
    attempt = models.BigIntegerField()
    max_attempts = models.BigIntegerField()
    backoff = models.IntegerField()
    backoff_delay_ms = models.BigIntegerField()
    timeout_ms = models.BigIntegerField(null=True)
    run_at = MomentField(null=True)
    expires_at = MomentField(null=True)
    unique_key = models.TextField(null=True)
    group_id = models.TextField(null=True)
    flow_id = models.TextField(null=True)
    custom_id = models.TextField(null=True)
    tags = StoredJsonField(null=True)
    metadata = StoredJsonField(null=True)
    extras = StoredJsonField(null=True)
    blocked_by = models.IntegerField(null=True)
    on_finish = models.IntegerField()
    lease_token = models.BigIntegerField()
    lease_until = MomentField(null=True)
    worker_id = models.TextField(null=True)
    cancel_requested_at = MomentField(null=True)
    started_at = MomentField(null=True)
    heartbeat_at = MomentField(null=True)
    completed_at = MomentField(null=True)
    updated_at = MomentField(null=True)
    progress = models.IntegerField(null=True)
    result = StoredJsonField(null=True)
    last_error = models.TextField(null=True)
    limit_key = models.TextField(null=True)
    slot = models.IntegerField(null=True)

    class Meta:
        db_table = "pyqueue_job"
        permissions = (("retry_job", "Can retry job"), ("cancel_job", "Can cancel job"))

    @property
    def job_id(self) -> str:
        """The id by which the queue knows it."""
        return current().ids_of([self.id])[0]

    @property
    def created_at(self) -> datetime:
        """When it was pushed: its key begins with that."""
        return to_datetime(ids.created_us(self.id))

    def __str__(self) -> str:
        return f"{self.name} in {self.queue}: {self.get_state_display()}"


class Tag(Stored):
    """A tag of a job, for finding jobs by it; the job's own list is `Job.tags`."""

    pk = models.CompositePrimaryKey("tag", "job_id")
    tag = models.TextField()
    job_id = models.BigIntegerField()

    class Meta:
        db_table = "pyqueue_tag"


class Dependency(Stored):
    """`child_id` waits for `parent_id`."""

    pk = models.CompositePrimaryKey("child_id", "parent_id")
    child_id = models.BigIntegerField()
    parent_id = models.BigIntegerField()
    on_failure = models.IntegerField()
    ref = models.TextField(null=True)
    binds = models.TextField(null=True)
    result = models.TextField(null=True)

    class Meta:
        db_table = "pyqueue_dependency"


class Attempt(Stored):
    """A failed try; `number` is the lease token of that run."""

    pk = models.CompositePrimaryKey("job_id", "number")
    job_id = models.BigIntegerField()
    number = models.BigIntegerField()
    worker_id = models.TextField(null=True)
    started_at = MomentField(null=True)
    failed_at = MomentField()
    error = models.TextField()

    class Meta:
        db_table = "pyqueue_attempt"


class LogEntry(Stored):
    """A message that a job reported."""

    pk = models.CompositePrimaryKey("job_id", "number")
    job_id = models.BigIntegerField()
    number = models.BigIntegerField()
    logged_at = MomentField()
    message = models.TextField()

    class Meta:
        db_table = "pyqueue_log"


class Step(Stored):
    """What a step of a job gave, so that a retry does not repeat it."""

    pk = models.CompositePrimaryKey("job_id", "name")
    job_id = models.BigIntegerField()
    name = models.TextField()
    kept_at = MomentField()
    result = StoredJsonField()

    class Meta:
        db_table = "pyqueue_step"


class Queue(Stored):
    """What is known of a queue beyond its jobs. A queue without a row has the defaults."""

    name = models.TextField(primary_key=True)
    pushes_paused_at = MomentField(null=True)
    pulls_paused_at = MomentField(null=True)
    round = models.BigIntegerField()
    limits = models.IntegerField()
    breaker_failures = models.BigIntegerField(null=True)
    breaker_cooldown_ms = models.BigIntegerField(null=True)
    failures = models.BigIntegerField()
    breaker_until = MomentField(null=True)

    class Meta:
        db_table = "pyqueue_queue"
        permissions = (("pause_queue", "Can pause and resume queue"),)


class Limit(Stored):
    """How many jobs of a queue, or of a key in it, may be pulled or pushed; see `store.limits`."""

    pk = models.CompositePrimaryKey("queue", "kind", "limit_key")
    queue = models.TextField()
    kind = models.IntegerField()
    limit_key = models.TextField()
    concurrency = models.BigIntegerField(null=True)
    rate = models.FloatField(null=True)
    per_ms = models.BigIntegerField(null=True)
    burst = models.BigIntegerField(null=True)

    class Meta:
        db_table = "pyqueue_limit"


class Bucket(Stored):
    """A token bucket that is not full, or was not when last used."""

    pk = models.CompositePrimaryKey("queue", "kind", "limit_key")
    queue = models.TextField()
    kind = models.IntegerField()
    limit_key = models.TextField()
    full_at = MomentField()

    class Meta:
        db_table = "pyqueue_bucket"


class UniqueKey(Stored):
    """A unique key that is held until a moment by the job that was pushed with it last."""

    pk = models.CompositePrimaryKey("queue", "unique_key")
    queue = models.TextField()
    unique_key = models.TextField()
    job_id = models.BigIntegerField()
    held_until = MomentField()

    class Meta:
        db_table = "pyqueue_unique"


class Count(Stored):
    """How many jobs of a queue were in a state when the event log was last added up (`store.counts`)."""

    pk = models.CompositePrimaryKey("queue", "state")
    queue = models.TextField()
    state = models.IntegerField()
    jobs = models.BigIntegerField()

    class Meta:
        db_table = "pyqueue_count"


class Lease(Stored):
    """Who holds an office, such as housekeeping, and until when without a renewal."""

    name = models.TextField(primary_key=True)
    holder = models.TextField()
    lease_until = MomentField()

    class Meta:
        db_table = "pyqueue_lease"


class Listener(Stored):
    """A process that waits for jobs, at this port of the loopback interface."""

    port = models.IntegerField(primary_key=True)
    listens_until = MomentField()

    class Meta:
        db_table = "pyqueue_listener"


class Event(Stored):
    """What happened to some jobs of a queue, in the order of the commits."""

    position = models.BigIntegerField(primary_key=True)
    happened_at = MomentField()
    event = models.TextField()
    queue = models.TextField()
    state = models.IntegerField(null=True)
    first_id = models.BigIntegerField()
    jobs = models.IntegerField()
    other_ids = models.TextField(null=True)
    worker_id = models.TextField(null=True)
    error = models.TextField(null=True)
    source = models.IntegerField(null=True)

    class Meta:
        db_table = "pyqueue_event"


class Worker(Stored):
    """A worker, as it said at its last beat; `queues` and `tasks` are lists of names."""

    id = models.TextField(primary_key=True)
    name = models.TextField(null=True)
    host = models.TextField()
    pid = models.BigIntegerField()
    version = models.TextField()
    mode = models.TextField()
    concurrency = models.BigIntegerField()
    queues = JsonTextField()
    tasks = JsonTextField()
    started_at = MomentField()
    seen_at = MomentField()
    jobs = models.BigIntegerField()

    class Meta:
        db_table = "pyqueue_worker"


class Schedule(Stored):
    """A rule that pushes jobs, and where it stands."""

    name = models.TextField(primary_key=True)
    queue = models.TextField()
    job_name = models.TextField()
    job_data = JsonTextField()
    job_options = JsonTextField(null=True)
    cron_expr = models.TextField(null=True)
    every_ms = models.BigIntegerField(null=True)
    timezone = models.TextField(null=True)
    max_executions = models.BigIntegerField(null=True)
    start_at = MomentField(null=True)
    end_at = MomentField(null=True)
    misfire = models.TextField()
    backfill_max = models.IntegerField()
    overlap = models.TextField()
    jitter_ms = models.BigIntegerField()
    origin = models.TextField()
    anchor_at = MomentField()
    paused_at = MomentField(null=True)
    execution_count = models.BigIntegerField()
    last_run_at = MomentField(null=True)
    next_run_at = MomentField(null=True)
    last_due_at = MomentField(null=True)
    last_job_id = models.BigIntegerField(null=True)
    last_error = models.TextField(null=True)
    created_at = MomentField()
    updated_at = MomentField()

    class Meta:
        db_table = "pyqueue_schedule"
        permissions = (
            ("run_schedule", "Can run schedule now"),
            ("pause_schedule", "Can pause and resume schedule"),
        )

    def __str__(self) -> str:
        return str(self.name)


class ScheduleRun(Stored):
    """What came of a moment of a schedule."""

    pk = models.CompositePrimaryKey("schedule", "due_at")
    schedule = models.TextField()
    due_at = MomentField()
    fired_at = MomentField()
    job_id = models.BigIntegerField(null=True)
    error = models.TextField(null=True)
    is_manual = models.IntegerField()

    class Meta:
        db_table = "pyqueue_schedule_run"


class Total(Stored):
    """How many jobs of a queue an event has ever brought into a state; -1 is out of the database."""

    pk = models.CompositePrimaryKey("queue", "event", "state")
    queue = models.TextField()
    event = models.TextField()
    state = models.IntegerField()
    jobs = models.BigIntegerField()
    counted_at = MomentField()

    class Meta:
        db_table = "pyqueue_total"


class Webhook(Stored):
    """Who is told of what happens; `events` and `queues` are lists of names."""

    id = models.TextField(primary_key=True)
    url = models.TextField()
    events = JsonTextField()
    queues = JsonTextField()
    secret = models.TextField(null=True)
    is_active = models.IntegerField()
    since = models.BigIntegerField()
    failures = models.BigIntegerField()
    last_error = models.TextField(null=True)
    created_at = MomentField()
    updated_at = MomentField()

    class Meta:
        db_table = "pyqueue_webhook"
