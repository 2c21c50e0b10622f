"""The tables as versions 1 to 11 of the engine make them."""

from __future__ import annotations

from django.db import migrations, models

from pyqueue.contrib.django import fields
from pyqueue.contrib.django.steps import RunSteps


class Migration(migrations.Migration):  # type: ignore[misc]  # Django comes without types
    """The first."""

    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSteps(11)],
            state_operations=[
                migrations.CreateModel(
                    name="Attempt",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "job_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("job_id", models.BigIntegerField()),
                        ("number", models.BigIntegerField()),
                        ("worker_id", models.TextField(null=True)),
                        ("started_at", fields.MomentField(null=True)),
                        ("failed_at", fields.MomentField()),
                        ("error", models.TextField()),
                    ],
                    options={
                        "db_table": "pyqueue_attempt",
                    },
                ),
                migrations.CreateModel(
                    name="Bucket",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "queue",
                                "kind",
                                "limit_key",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("queue", models.TextField()),
                        ("kind", models.IntegerField()),
                        ("limit_key", models.TextField()),
                        ("full_at", fields.MomentField()),
                    ],
                    options={
                        "db_table": "pyqueue_bucket",
                    },
                ),
                migrations.CreateModel(
                    name="Count",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "queue", "state", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("queue", models.TextField()),
                        ("state", models.IntegerField()),
                        ("jobs", models.BigIntegerField()),
                    ],
                    options={
                        "db_table": "pyqueue_count",
                    },
                ),
                migrations.CreateModel(
                    name="Dependency",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "child_id", "parent_id", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("child_id", models.BigIntegerField()),
                        ("parent_id", models.BigIntegerField()),
                        ("on_failure", models.IntegerField()),
                        ("ref", models.TextField(null=True)),
                        ("binds", models.TextField(null=True)),
                        ("result", models.TextField(null=True)),
                    ],
                    options={
                        "db_table": "pyqueue_dependency",
                    },
                ),
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("happened_at", fields.MomentField()),
                        ("event", models.TextField()),
                        ("queue", models.TextField()),
                        ("state", models.IntegerField(null=True)),
                        ("first_id", models.BigIntegerField()),
                        ("jobs", models.IntegerField()),
                        ("other_ids", models.TextField(null=True)),
                        ("worker_id", models.TextField(null=True)),
                        ("error", models.TextField(null=True)),
                        ("source", models.IntegerField(null=True)),
                    ],
                    options={
                        "db_table": "pyqueue_event",
                    },
                ),
                migrations.CreateModel(
                    name="Job",
                    fields=[
                        ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("queue", models.TextField()),
                        ("name", models.TextField()),
                        (
                            "state",
                            fields.StateField(
                                choices=[
                                    (0, "waiting"),
                                    (1, "delayed"),
                                    (2, "blocked"),
                                    (3, "active"),
                                    (4, "completed"),
                                    (5, "dlq"),
                                    (6, "cancelled"),
                                ]
                            ),
                        ),
                        ("priority", models.IntegerField()),
                        ("rank", models.BigIntegerField()),
                        ("data", fields.StoredJsonField()),
                        ("attempt", models.BigIntegerField()),
                        ("max_attempts", models.BigIntegerField()),
                        ("backoff", models.IntegerField()),
                        ("backoff_delay_ms", models.BigIntegerField()),
                        ("timeout_ms", models.BigIntegerField(null=True)),
                        ("run_at", fields.MomentField(null=True)),
                        ("expires_at", fields.MomentField(null=True)),
                        ("unique_key", models.TextField(null=True)),
                        ("group_id", models.TextField(null=True)),
                        ("flow_id", models.TextField(null=True)),
                        ("custom_id", models.TextField(null=True)),
                        ("tags", fields.StoredJsonField(null=True)),
                        ("metadata", fields.StoredJsonField(null=True)),
                        ("extras", fields.StoredJsonField(null=True)),
                        ("blocked_by", models.IntegerField(null=True)),
                        ("on_finish", models.IntegerField()),
                        ("lease_token", models.BigIntegerField()),
                        ("lease_until", fields.MomentField(null=True)),
                        ("worker_id", models.TextField(null=True)),
                        ("cancel_requested_at", fields.MomentField(null=True)),
                        ("started_at", fields.MomentField(null=True)),
                        ("heartbeat_at", fields.MomentField(null=True)),
                        ("completed_at", fields.MomentField(null=True)),
                        ("updated_at", fields.MomentField(null=True)),
                        ("progress", models.IntegerField(null=True)),
                        ("result", fields.StoredJsonField(null=True)),
                        ("last_error", models.TextField(null=True)),
                        ("limit_key", models.TextField(null=True)),
                        ("slot", models.IntegerField(null=True)),
                    ],
                    options={
                        "db_table": "pyqueue_job",
                        "permissions": (("retry_job", "Can retry job"), ("cancel_job", "Can cancel job")),
                    },
                ),
                migrations.CreateModel(
                    name="Lease",
                    fields=[
                        ("name", models.TextField(primary_key=True, serialize=False)),
                        ("holder", models.TextField()),
                        ("lease_until", fields.MomentField()),
                    ],
                    options={
                        "db_table": "pyqueue_lease",
                    },
                ),
                migrations.CreateModel(
                    name="Limit",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "queue",
                                "kind",
                                "limit_key",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("queue", models.TextField()),
                        ("kind", models.IntegerField()),
                        ("limit_key", models.TextField()),
                        ("concurrency", models.BigIntegerField(null=True)),
                        ("rate", models.FloatField(null=True)),
                        ("per_ms", models.BigIntegerField(null=True)),
                        ("burst", models.BigIntegerField(null=True)),
                    ],
                    options={
                        "db_table": "pyqueue_limit",
                    },
                ),
                migrations.CreateModel(
                    name="Listener",
                    fields=[
                        ("port", models.IntegerField(primary_key=True, serialize=False)),
                        ("listens_until", fields.MomentField()),
                    ],
                    options={
                        "db_table": "pyqueue_listener",
                    },
                ),
                migrations.CreateModel(
                    name="LogEntry",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "job_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("job_id", models.BigIntegerField()),
                        ("number", models.BigIntegerField()),
                        ("logged_at", fields.MomentField()),
                        ("message", models.TextField()),
                    ],
                    options={
                        "db_table": "pyqueue_log",
                    },
                ),
                migrations.CreateModel(
                    name="Queue",
                    fields=[
                        ("name", models.TextField(primary_key=True, serialize=False)),
                        ("pushes_paused_at", fields.MomentField(null=True)),
                        ("pulls_paused_at", fields.MomentField(null=True)),
                        ("round", models.BigIntegerField()),
                        ("limits", models.IntegerField()),
                        ("breaker_failures", models.BigIntegerField(null=True)),
                        ("breaker_cooldown_ms", models.BigIntegerField(null=True)),
                        ("failures", models.BigIntegerField()),
                        ("breaker_until", fields.MomentField(null=True)),
                    ],
                    options={
                        "db_table": "pyqueue_queue",
                        "permissions": (("pause_queue", "Can pause and resume queue"),),
                    },
                ),
                migrations.CreateModel(
                    name="Schedule",
                    fields=[
                        ("name", models.TextField(primary_key=True, serialize=False)),
                        ("queue", models.TextField()),
                        ("job_name", models.TextField()),
                        ("job_data", fields.JsonTextField()),
                        ("job_options", fields.JsonTextField(null=True)),
                        ("cron_expr", models.TextField(null=True)),
                        ("every_ms", models.BigIntegerField(null=True)),
                        ("timezone", models.TextField(null=True)),
                        ("max_executions", models.BigIntegerField(null=True)),
                        ("start_at", fields.MomentField(null=True)),
                        ("end_at", fields.MomentField(null=True)),
                        ("misfire", models.TextField()),
                        ("backfill_max", models.IntegerField()),
                        ("overlap", models.TextField()),
                        ("jitter_ms", models.BigIntegerField()),
                        ("origin", models.TextField()),
                        ("anchor_at", fields.MomentField()),
                        ("paused_at", fields.MomentField(null=True)),
                        ("execution_count", models.BigIntegerField()),
                        ("last_run_at", fields.MomentField(null=True)),
                        ("next_run_at", fields.MomentField(null=True)),
                        ("last_due_at", fields.MomentField(null=True)),
                        ("last_job_id", models.BigIntegerField(null=True)),
                        ("last_error", models.TextField(null=True)),
                        ("created_at", fields.MomentField()),
                        ("updated_at", fields.MomentField()),
                    ],
                    options={
                        "db_table": "pyqueue_schedule",
                        "permissions": (
                            ("run_schedule", "Can run schedule now"),
                            ("pause_schedule", "Can pause and resume schedule"),
                        ),
                    },
                ),
                migrations.CreateModel(
                    name="ScheduleRun",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "schedule", "due_at", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("schedule", models.TextField()),
                        ("due_at", fields.MomentField()),
                        ("fired_at", fields.MomentField()),
                        ("job_id", models.BigIntegerField(null=True)),
                        ("error", models.TextField(null=True)),
                        ("is_manual", models.IntegerField()),
                    ],
                    options={
                        "db_table": "pyqueue_schedule_run",
                    },
                ),
                migrations.CreateModel(
                    name="Step",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "job_id", "name", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("job_id", models.BigIntegerField()),
                        ("name", models.TextField()),
                        ("kept_at", fields.MomentField()),
                        ("result", fields.StoredJsonField()),
                    ],
                    options={
                        "db_table": "pyqueue_step",
                    },
                ),
                migrations.CreateModel(
                    name="Tag",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "tag", "job_id", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("tag", models.TextField()),
                        ("job_id", models.BigIntegerField()),
                    ],
                    options={
                        "db_table": "pyqueue_tag",
                    },
                ),
                migrations.CreateModel(
                    name="UniqueKey",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "queue", "unique_key", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("queue", models.TextField()),
                        ("unique_key", models.TextField()),
                        ("job_id", models.BigIntegerField()),
                        ("held_until", fields.MomentField()),
                    ],
                    options={
                        "db_table": "pyqueue_unique",
                    },
                ),
                migrations.CreateModel(
                    name="Worker",
                    fields=[
                        ("id", models.TextField(primary_key=True, serialize=False)),
                        ("name", models.TextField(null=True)),
                        ("host", models.TextField()),
                        ("pid", models.BigIntegerField()),
                        ("version", models.TextField()),
                        ("mode", models.TextField()),
                        ("concurrency", models.BigIntegerField()),
                        ("queues", fields.JsonTextField()),
                        ("tasks", fields.JsonTextField()),
                        ("started_at", fields.MomentField()),
                        ("seen_at", fields.MomentField()),
                        ("jobs", models.BigIntegerField()),
                    ],
                    options={
                        "db_table": "pyqueue_worker",
                    },
                ),
            ],
        )
    ]
