"""Versions 12 and 13 of the engine: totals, webhooks."""

from __future__ import annotations

from django.db import migrations, models

from pyqueue.contrib.django import fields
from pyqueue.contrib.django.steps import RunSteps


class Migration(migrations.Migration):  # type: ignore[misc]  # Django comes without types
    """The second."""

    dependencies = [("pyqueue", "0001_initial")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSteps(13)],
            state_operations=[
                migrations.CreateModel(
                    name="Total",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "queue", "event", "state", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("queue", models.TextField()),
                        ("event", models.TextField()),
                        ("state", models.IntegerField()),
                        ("jobs", models.BigIntegerField()),
                        ("counted_at", fields.MomentField()),
                    ],
                    options={
                        "db_table": "pyqueue_total",
                    },
                ),
                migrations.CreateModel(
                    name="Webhook",
                    fields=[
                        ("id", models.TextField(primary_key=True, serialize=False)),
                        ("url", models.TextField()),
                        ("events", fields.JsonTextField()),
                        ("queues", fields.JsonTextField()),
                        ("secret", models.TextField(null=True)),
                        ("is_active", models.IntegerField()),
                        ("since", models.BigIntegerField()),
                        ("failures", models.BigIntegerField()),
                        ("last_error", models.TextField(null=True)),
                        ("created_at", fields.MomentField()),
                        ("updated_at", fields.MomentField()),
                    ],
                    options={
                        "db_table": "pyqueue_webhook",
                    },
                ),
            ],
        )
    ]
