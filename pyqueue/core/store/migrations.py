"""The schema, as ordered steps. A database knows how far it has come; a newer one is refused.

A table is written once, for SQLite; `dialect.ddl_for_postgres` turns its types into those of PostgreSQL. What is
needed there beyond it stands in the step's `postgres`.

A step, once released, is never edited: what it did is in people's files. Each runs
inside the transaction that also records it, so a crash leaves the step done or not begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pyqueue.core import ids
from pyqueue.core.errors import SchemaTooNew
from pyqueue.core.store import watching
from pyqueue.core.store.dialect import ddl_for_postgres
from pyqueue.core.store.executor import Executor
from pyqueue.core.store.postgres import schema


class Step(NamedTuple):
    """One change of the schema."""

    name: str
    statements: tuple[str, ...]
    postgres: tuple[str, ...] = ()


# Integer times are microseconds since the epoch, UTC. All secondary indexes of the job
# table are partial, so that a finished job costs its row and nothing else. The columns that
# most rows leave at their default come last: SQLite stores a default or null in a byte.
_TABLES: Final = (
    """
    CREATE TABLE pyqueue_meta (
        key TEXT NOT NULL PRIMARY KEY,
        value BIGINT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pyqueue_job (
        id INTEGER NOT NULL PRIMARY KEY,
        queue TEXT NOT NULL,
        name TEXT NOT NULL,
        state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 6),
        priority INTEGER NOT NULL DEFAULT 0,
        rank BIGINT NOT NULL DEFAULT 0,
        data TEXT NOT NULL,
        attempt BIGINT NOT NULL DEFAULT 0 CHECK (attempt >= 0),
        max_attempts BIGINT NOT NULL DEFAULT 3 CHECK (max_attempts >= 0),
        backoff INTEGER NOT NULL DEFAULT 2 CHECK (backoff BETWEEN 0 AND 2),
        backoff_delay_ms BIGINT NOT NULL DEFAULT 1000 CHECK (backoff_delay_ms >= 0),
        timeout_ms BIGINT CHECK (timeout_ms > 0),
        run_at BIGINT,
        expires_at BIGINT,
        unique_key TEXT,
        group_id TEXT,
        flow_id TEXT,
        custom_id TEXT,
        tags TEXT,
        metadata TEXT,
        extras TEXT,
        blocked_by INTEGER CHECK (blocked_by >= 0),
        on_finish INTEGER NOT NULL DEFAULT 0,
        lease_token BIGINT NOT NULL DEFAULT 0,
        lease_until BIGINT,
        worker_id TEXT,
        cancel_requested_at BIGINT,
        started_at BIGINT,
        heartbeat_at BIGINT,
        completed_at BIGINT,
        updated_at BIGINT,
        progress INTEGER CHECK (progress BETWEEN 0 AND 100),
        result TEXT,
        last_error TEXT,
        CHECK (state <> 1 OR run_at IS NOT NULL),
        CHECK (state <> 2 OR blocked_by > 0),
        CHECK (state <> 3 OR lease_until IS NOT NULL)
    )
    """,
    # Pull: priority, then rank (0, a turn of groups, or −id for lifo), then age: the rowid ends every index.
    "CREATE INDEX pyqueue_job_ready ON pyqueue_job (queue, priority DESC, rank) WHERE state = 0",
    "CREATE INDEX pyqueue_job_due ON pyqueue_job (run_at) WHERE state = 1",
    "CREATE INDEX pyqueue_job_lease ON pyqueue_job (lease_until) WHERE state = 3",
    "CREATE INDEX pyqueue_job_expiry ON pyqueue_job (expires_at) WHERE expires_at IS NOT NULL AND state < 3",
    "CREATE UNIQUE INDEX pyqueue_job_unique ON pyqueue_job (queue, unique_key)"
    " WHERE unique_key IS NOT NULL AND state < 4",
    "CREATE INDEX pyqueue_job_group ON pyqueue_job (queue, group_id, rank) WHERE group_id IS NOT NULL AND state = 0",
    "CREATE INDEX pyqueue_job_blocked ON pyqueue_job (queue) WHERE state = 2",
    "CREATE INDEX pyqueue_job_dlq ON pyqueue_job (queue) WHERE state = 5",
    "CREATE INDEX pyqueue_job_cancelled ON pyqueue_job (queue) WHERE state = 6",
    "CREATE INDEX pyqueue_job_flow ON pyqueue_job (flow_id) WHERE flow_id IS NOT NULL",
    "CREATE INDEX pyqueue_job_custom ON pyqueue_job (custom_id) WHERE custom_id IS NOT NULL",
    """
    CREATE TABLE pyqueue_tag (
        tag TEXT NOT NULL,
        job_id BIGINT NOT NULL,
        PRIMARY KEY (tag, job_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pyqueue_dependency (
        child_id BIGINT NOT NULL,
        parent_id BIGINT NOT NULL,
        PRIMARY KEY (child_id, parent_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX pyqueue_dependency_parent ON pyqueue_dependency (parent_id)",
    """
    CREATE TABLE pyqueue_attempt (
        job_id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        worker_id TEXT,
        started_at BIGINT,
        failed_at BIGINT NOT NULL,
        error TEXT NOT NULL,
        PRIMARY KEY (job_id, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pyqueue_log (
        job_id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        logged_at BIGINT NOT NULL,
        message TEXT NOT NULL,
        PRIMARY KEY (job_id, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pyqueue_queue (
        name TEXT NOT NULL PRIMARY KEY,
        pushes_paused_at BIGINT,
        pulls_paused_at BIGINT,
        round BIGINT NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pyqueue_count (
        queue TEXT NOT NULL,
        state INTEGER NOT NULL,
        jobs BIGINT NOT NULL,
        PRIMARY KEY (queue, state)
    ) WITHOUT ROWID
    """,
)

# What processes know of each other: who leads, who listens for wake-ups, and what any of them did.
_PROCESSES: Final = (
    """
    CREATE TABLE pyqueue_lease (
        name TEXT NOT NULL PRIMARY KEY,
        holder TEXT NOT NULL,
        lease_until BIGINT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pyqueue_listener (
        port INTEGER NOT NULL PRIMARY KEY,
        listens_until BIGINT NOT NULL
    )
    """,
    # One row for each change of a transaction, however many jobs it moved; `position` is the order of commits.
    """
    CREATE TABLE pyqueue_event (
        position INTEGER NOT NULL PRIMARY KEY,
        happened_at BIGINT NOT NULL,
        event TEXT NOT NULL,
        queue TEXT NOT NULL,
        state INTEGER,
        first_id BIGINT NOT NULL,
        jobs INTEGER NOT NULL,
        other_ids TEXT,
        worker_id TEXT,
        error TEXT
    )
    """,
)

# Where jobs came from, so that the log is also what the counts are made of (`store.counts`).
_SOURCES: Final = (
    "ALTER TABLE pyqueue_event ADD COLUMN source INTEGER",
    "INSERT INTO pyqueue_meta (key, value) SELECT 'counted_to', coalesce(max(position), 0) FROM pyqueue_event",
)

# What `once` keeps. Jobs without such steps have no row here and no column for it.
_STEPS_OF_JOBS: Final = (
    """
    CREATE TABLE pyqueue_step (
        job_id BIGINT NOT NULL,
        name TEXT NOT NULL,
        kept_at BIGINT NOT NULL,
        result TEXT NOT NULL,
        PRIMARY KEY (job_id, name)
    ) WITHOUT ROWID
    """,
)

# The workers that live: some dozens of rows, so no index.
_WORKERS: Final = (
    """
    CREATE TABLE pyqueue_worker (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT,
        host TEXT NOT NULL,
        pid BIGINT NOT NULL,
        version TEXT NOT NULL,
        mode TEXT NOT NULL,
        concurrency BIGINT NOT NULL,
        queues TEXT NOT NULL,
        tasks TEXT NOT NULL,
        started_at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        jobs BIGINT NOT NULL
    ) WITHOUT ROWID
    """,
)

# Limits. A run that takes a slot of a limited queue is marked, so that slots are counted from the rows that hold a
# lease; both indexes are empty where no limits are. `limit_key` '' stands for "none" in a queue whose keys are limited.
_LIMITS: Final = (
    "ALTER TABLE pyqueue_job ADD COLUMN limit_key TEXT",
    "ALTER TABLE pyqueue_job ADD COLUMN slot INTEGER",
    "CREATE INDEX pyqueue_job_keyed ON pyqueue_job (queue, limit_key, priority DESC, rank)"
    " WHERE limit_key IS NOT NULL AND state = 0",
    "CREATE INDEX pyqueue_job_slot ON pyqueue_job (queue, limit_key) WHERE slot IS NOT NULL AND state = 3",
    "ALTER TABLE pyqueue_queue ADD COLUMN limits INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE pyqueue_queue ADD COLUMN breaker_failures BIGINT CHECK (breaker_failures > 0)",
    "ALTER TABLE pyqueue_queue ADD COLUMN breaker_cooldown_ms BIGINT",
    "ALTER TABLE pyqueue_queue ADD COLUMN failures BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE pyqueue_queue ADD COLUMN breaker_until BIGINT",
    # kind: 0 pushes, 1 pulls, 2 each key, 3 the key `limit_key`.
    """
    CREATE TABLE pyqueue_limit (
        queue TEXT NOT NULL,
        kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
        limit_key TEXT NOT NULL,
        concurrency BIGINT CHECK (concurrency > 0),
        rate DOUBLE PRECISION CHECK (rate > 0),
        per_ms BIGINT CHECK (per_ms > 0),
        burst BIGINT CHECK (burst > 0),
        PRIMARY KEY (queue, kind, limit_key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pyqueue_bucket (
        queue TEXT NOT NULL,
        kind INTEGER NOT NULL,
        limit_key TEXT NOT NULL,
        full_at BIGINT NOT NULL,
        PRIMARY KEY (queue, kind, limit_key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX pyqueue_bucket_full ON pyqueue_bucket (full_at)",
    # A unique key held for a time, whatever becomes of its job.
    """
    CREATE TABLE pyqueue_unique (
        queue TEXT NOT NULL,
        unique_key TEXT NOT NULL,
        job_id BIGINT NOT NULL,
        held_until BIGINT NOT NULL,
        PRIMARY KEY (queue, unique_key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX pyqueue_unique_held ON pyqueue_unique (held_until)",
)

# What a child makes of a parent: of its failure, under which name, in which arguments; and the result of one that
# is gone.
_FLOWS: Final = (
    "ALTER TABLE pyqueue_dependency ADD COLUMN on_failure INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE pyqueue_dependency ADD COLUMN ref TEXT",
    "ALTER TABLE pyqueue_dependency ADD COLUMN binds TEXT",
    "ALTER TABLE pyqueue_dependency ADD COLUMN result TEXT",
)

# Rules that push jobs, and for each the last moments that came. A moment has one row: that is what makes it fire once.
_SCHEDULES: Final = (
    """
    CREATE TABLE pyqueue_schedule (
        name TEXT NOT NULL PRIMARY KEY,
        queue TEXT NOT NULL,
        job_name TEXT NOT NULL,
        job_data TEXT NOT NULL,
        job_options TEXT,
        cron_expr TEXT,
        every_ms BIGINT CHECK (every_ms > 0),
        timezone TEXT,
        max_executions BIGINT CHECK (max_executions > 0),
        start_at BIGINT,
        end_at BIGINT,
        misfire TEXT NOT NULL CHECK (misfire IN ('skip', 'run_once', 'backfill')),
        backfill_max INTEGER NOT NULL CHECK (backfill_max > 0),
        overlap TEXT NOT NULL CHECK (overlap IN ('allow', 'skip', 'queue')),
        jitter_ms BIGINT NOT NULL CHECK (jitter_ms >= 0),
        origin TEXT NOT NULL CHECK (origin IN ('hand', 'code')),
        anchor_at BIGINT NOT NULL,
        paused_at BIGINT,
        execution_count BIGINT NOT NULL DEFAULT 0,
        last_run_at BIGINT,
        next_run_at BIGINT,
        last_due_at BIGINT,
        last_job_id BIGINT,
        last_error TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        CHECK ((cron_expr IS NULL) <> (every_ms IS NULL))
    ) WITHOUT ROWID
    """,
    "CREATE INDEX pyqueue_schedule_due ON pyqueue_schedule (next_run_at)"
    " WHERE next_run_at IS NOT NULL AND paused_at IS NULL",
    """
    CREATE TABLE pyqueue_schedule_run (
        schedule TEXT NOT NULL,
        due_at BIGINT NOT NULL,
        fired_at BIGINT NOT NULL,
        job_id BIGINT,
        error TEXT,
        is_manual INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (schedule, due_at)
    ) WITHOUT ROWID
    """,
)

# A hundred thousand jobs of a flow are counted from this alone in some 10 ms, from their rows in 50.
_FLOW_COUNTS: Final = ("CREATE INDEX pyqueue_job_flow_state ON pyqueue_job (flow_id, state) WHERE flow_id IS NOT NULL",)

STEPS: Final = (
    Step("jobs and queues", _TABLES),
    Step("processes", _PROCESSES),
    Step("sources of events", _SOURCES),
    Step("steps of jobs", _STEPS_OF_JOBS),
    Step("workers", _WORKERS),
    Step("limits", _LIMITS),
    Step("flows", _FLOWS),
    Step("schedules", _SCHEDULES),
    Step("sequences", (), schema.SEQUENCES),
    Step("counts of flows", _FLOW_COUNTS),
    Step("settings of tables", (), schema.SETTINGS),
    Step("totals", watching.TOTALS),
    Step("webhooks", watching.WEBHOOKS),
)

SALT: Final = "SELECT value FROM pyqueue_meta WHERE key = 'salt'"
_HAS_META: Final = """
    SELECT 1 /*lite*/FROM sqlite_master WHERE type = 'table' AND name = 'pyqueue_meta'/*pg
        WHERE to_regclass('pyqueue_meta') IS NOT NULL*/
"""
_SET_META: Final = (
    "INSERT INTO pyqueue_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


def version_of(db: Executor) -> int:
    """How many steps this database has seen; 0 for one without our tables.

    Raises:
        SchemaTooNew: more than this version of pyqueue knows.
    """
    if db.execute_sql(_HAS_META).fetchone() is None:
        return 0
    row = db.execute_sql("SELECT value FROM pyqueue_meta WHERE key = 'schema_version'").fetchone()
    version = 0 if row is None else int(row[0])
    if version > len(STEPS):
        raise SchemaTooNew(
            f"the database has schema version {version}; this pyqueue knows versions up to {len(STEPS)}. "
            "Upgrade pyqueue here, or stop the newer one and restore a backup made before it ran."
        )
    return version


def apply(db: Executor, *, on_postgres: bool = False, up_to: int | None = None) -> None:
    """Takes the database to the newest version, or `up_to` one. Call it in a transaction that holds the write lock."""
    version = version_of(db)
    for number, step in enumerate(STEPS[version:up_to], start=version + 1):
        for statement in statements_of(step, on_postgres=on_postgres):
            db.execute_sql(statement)
        db.execute_sql(_SET_META, ("schema_version", number))
    if version == 0:
        db.execute_sql(_SET_META, ("salt", ids.new_salt()))
        db.execute_sql(_SET_META, ("last_deleted", 0))


def statements_of(step: Step, *, on_postgres: bool) -> Sequence[str]:
    """The DDL of a step."""
    return [*map(ddl_for_postgres, step.statements), *step.postgres] if on_postgres else step.statements


def salt_of(db: Executor) -> int:
    """The salt in the ids of this database."""
    return int(db.execute_sql(SALT).fetchone()[0])
