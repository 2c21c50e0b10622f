"""The tables as peewee models: for lists and other cold reads.

The models describe, they do not create: DDL is in `migrations`, and a test holds the
two against each other. They are bound to no database: a query is turned into SQL (`query.sql()`)
and run in a transaction, since one process may hold several files. The hot statements are SQL constants in the
modules beside this one; a query that names a state must say `SQL("3")`, not 3, or the
partial indexes are not used.
"""

from __future__ import annotations

from peewee import BigIntegerField, CompositeKey, DoubleField, IntegerField, Model, TextField


class JobRow(Model):
    """One job, live or finished."""

    id = BigIntegerField(primary_key=True)
    queue = TextField()
    name = TextField()
    state = IntegerField(default=0)
    priority = IntegerField(default=0)
    rank = BigIntegerField(default=0)
    data = TextField()
    attempt = BigIntegerField(default=0)
    max_attempts = BigIntegerField(default=3)
    backoff = IntegerField(default=2)
    backoff_delay_ms = BigIntegerField(default=1000)
    timeout_ms = BigIntegerField(null=True)
    run_at = BigIntegerField(null=True)
    expires_at = BigIntegerField(null=True)
    unique_key = TextField(null=True)
    group_id = TextField(null=True)
    flow_id = TextField(null=True)
    custom_id = TextField(null=True)
    tags = TextField(null=True)
    metadata = TextField(null=True)
    extras = TextField(null=True)
    blocked_by = IntegerField(null=True)
    on_finish = IntegerField(default=0)
    lease_token = BigIntegerField(default=0)
    lease_until = BigIntegerField(null=True)
    worker_id = TextField(null=True)
    cancel_requested_at = BigIntegerField(null=True)
    started_at = BigIntegerField(null=True)
    heartbeat_at = BigIntegerField(null=True)
    completed_at = BigIntegerField(null=True)
    updated_at = BigIntegerField(null=True)
    progress = IntegerField(null=True)
    result = TextField(null=True)
    last_error = TextField(null=True)
    limit_key = TextField(null=True)
    slot = IntegerField(null=True)

    class Meta:
        table_name = "pyqueue_job"


class TagRow(Model):
    """A tag of a job, for finding jobs by it; the job's own list is `JobRow.tags`."""

    tag = TextField()
    job_id = BigIntegerField()

    class Meta:
        table_name = "pyqueue_tag"
        primary_key = CompositeKey("tag", "job_id")


class DependencyRow(Model):
    """`child_id` waits for `parent_id`."""

    child_id = BigIntegerField()
    parent_id = BigIntegerField()
    on_failure = IntegerField(default=0)
    ref = TextField(null=True)
    binds = TextField(null=True)
    result = TextField(null=True)

    class Meta:
        table_name = "pyqueue_dependency"
        primary_key = CompositeKey("child_id", "parent_id")


class AttemptRow(Model):
    """A failed try; `number` is the lease token of that run."""

    job_id = BigIntegerField()
    number = BigIntegerField()
    worker_id = TextField(null=True)
    started_at = BigIntegerField(null=True)
    failed_at = BigIntegerField()
    error = TextField()

    class Meta:
        table_name = "pyqueue_attempt"
        primary_key = CompositeKey("job_id", "number")


class LogRow(Model):
    """A message that a job reported."""

    job_id = BigIntegerField()
    number = BigIntegerField()
    logged_at = BigIntegerField()
    message = TextField()

    class Meta:
        table_name = "pyqueue_log"
        primary_key = CompositeKey("job_id", "number")


class StepRow(Model):
    """What a step of a job gave, so that a retry does not repeat it."""

    job_id = BigIntegerField()
    name = TextField()
    kept_at = BigIntegerField()
    result = TextField()

    class Meta:
        table_name = "pyqueue_step"
        primary_key = CompositeKey("job_id", "name")


class QueueRow(Model):
    """What is known of a queue beyond its jobs. A queue without a row has the defaults."""

    name = TextField(primary_key=True)
    pushes_paused_at = BigIntegerField(null=True)
    pulls_paused_at = BigIntegerField(null=True)
    round = BigIntegerField(default=0)
    limits = IntegerField(default=0)
    breaker_failures = BigIntegerField(null=True)
    breaker_cooldown_ms = BigIntegerField(null=True)
    failures = BigIntegerField(default=0)
    breaker_until = BigIntegerField(null=True)

    class Meta:
        table_name = "pyqueue_queue"


class LimitRow(Model):
    """How many jobs of a queue, or of a key in it, may be pulled or pushed; see `store.limits`."""

    queue = TextField()
    kind = IntegerField()
    limit_key = TextField()
    concurrency = BigIntegerField(null=True)
    rate = DoubleField(null=True)
    per_ms = BigIntegerField(null=True)
    burst = BigIntegerField(null=True)

    class Meta:
        table_name = "pyqueue_limit"
        primary_key = CompositeKey("queue", "kind", "limit_key")


class BucketRow(Model):
    """A token bucket that is not full, or was not when last used."""

    queue = TextField()
    kind = IntegerField()
    limit_key = TextField()
    full_at = BigIntegerField()

    class Meta:
        table_name = "pyqueue_bucket"
        primary_key = CompositeKey("queue", "kind", "limit_key")


class UniqueRow(Model):
    """A unique key that is held until a moment by the job that was pushed with it last."""

    queue = TextField()
    unique_key = TextField()
    job_id = BigIntegerField()
    held_until = BigIntegerField()

    class Meta:
        table_name = "pyqueue_unique"
        primary_key = CompositeKey("queue", "unique_key")


class CountRow(Model):
    """How many jobs of a queue were in a state when the event log was last added up (`store.counts`)."""

    queue = TextField()
    state = IntegerField()
    jobs = BigIntegerField()

    class Meta:
        table_name = "pyqueue_count"
        primary_key = CompositeKey("queue", "state")


class TotalRow(Model):
    """How many jobs of a queue an event has ever brought into a state; -1 is out of the database."""

    queue = TextField()
    event = TextField()
    state = IntegerField()
    jobs = BigIntegerField()
    counted_at = BigIntegerField()

    class Meta:
        table_name = "pyqueue_total"
        primary_key = CompositeKey("queue", "event", "state")


class LeaseRow(Model):
    """Who holds an office, such as housekeeping, and until when without a renewal."""

    name = TextField(primary_key=True)
    holder = TextField()
    lease_until = BigIntegerField()

    class Meta:
        table_name = "pyqueue_lease"


class ListenerRow(Model):
    """A process that waits for jobs, at this port of the loopback interface."""

    port = IntegerField(primary_key=True)
    listens_until = BigIntegerField()

    class Meta:
        table_name = "pyqueue_listener"


class EventRow(Model):
    """What happened to some jobs of a queue, in the order of the commits."""

    position = BigIntegerField(primary_key=True)
    happened_at = BigIntegerField()
    event = TextField()
    queue = TextField()
    state = IntegerField(null=True)
    first_id = BigIntegerField()
    jobs = IntegerField()
    other_ids = TextField(null=True)
    worker_id = TextField(null=True)
    error = TextField(null=True)
    source = IntegerField(null=True)

    class Meta:
        table_name = "pyqueue_event"


class WorkerRow(Model):
    """A worker, as it said at its last beat; `queues` and `tasks` are lists of names as JSON."""

    id = TextField(primary_key=True)
    name = TextField(null=True)
    host = TextField()
    pid = BigIntegerField()
    version = TextField()
    mode = TextField()
    concurrency = BigIntegerField()
    queues = TextField()
    tasks = TextField()
    started_at = BigIntegerField()
    seen_at = BigIntegerField()
    jobs = BigIntegerField()

    class Meta:
        table_name = "pyqueue_worker"


class ScheduleRow(Model):
    """A rule that pushes jobs, and where it stands."""

    name = TextField(primary_key=True)
    queue = TextField()
    job_name = TextField()
    job_data = TextField()
    job_options = TextField(null=True)
    cron_expr = TextField(null=True)
    every_ms = BigIntegerField(null=True)
    timezone = TextField(null=True)
    max_executions = BigIntegerField(null=True)
    start_at = BigIntegerField(null=True)
    end_at = BigIntegerField(null=True)
    misfire = TextField()
    backfill_max = IntegerField()
    overlap = TextField()
    jitter_ms = BigIntegerField()
    origin = TextField()
    anchor_at = BigIntegerField()
    paused_at = BigIntegerField(null=True)
    execution_count = BigIntegerField(default=0)
    last_run_at = BigIntegerField(null=True)
    next_run_at = BigIntegerField(null=True)
    last_due_at = BigIntegerField(null=True)
    last_job_id = BigIntegerField(null=True)
    last_error = TextField(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "pyqueue_schedule"


class ScheduleRunRow(Model):
    """What came of a moment of a schedule."""

    schedule = TextField()
    due_at = BigIntegerField()
    fired_at = BigIntegerField()
    job_id = BigIntegerField(null=True)
    error = TextField(null=True)
    is_manual = IntegerField(default=0)

    class Meta:
        table_name = "pyqueue_schedule_run"
        primary_key = CompositeKey("schedule", "due_at")


class WebhookRow(Model):
    """Who is told of what happens; `events` and `queues` are lists of names as JSON."""

    id = TextField(primary_key=True)
    url = TextField()
    events = TextField()
    queues = TextField()
    secret = TextField(null=True)
    is_active = IntegerField(default=1)
    since = BigIntegerField()
    failures = BigIntegerField(default=0)
    last_error = TextField(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "pyqueue_webhook"


class MetaRow(Model):
    """Facts about the database: schema version, salt of its ids, highest id ever deleted, last event counted."""

    key = TextField(primary_key=True)
    value = BigIntegerField()

    class Meta:
        table_name = "pyqueue_meta"


MODELS = (
    JobRow,
    TagRow,
    DependencyRow,
    AttemptRow,
    LogRow,
    StepRow,
    QueueRow,
    LimitRow,
    BucketRow,
    UniqueRow,
    CountRow,
    TotalRow,
    LeaseRow,
    ListenerRow,
    EventRow,
    WorkerRow,
    ScheduleRow,
    ScheduleRunRow,
    WebhookRow,
    MetaRow,
)
