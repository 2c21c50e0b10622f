"""django-tasks-db: Django's tasks in its PostgreSQL. It has no call for many."""

from __future__ import annotations

import importlib
import os

import django
from django.core.management import call_command
from django.db import transaction

from bench.peer import jobs
from bench.peer.counting import count_of

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.peer.django_settings")
django.setup()
_task = importlib.import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks").task


@_task(queue_name="bench")
def noop() -> None:
    """Nothing."""


@_task(queue_name="bench")
def stamp(port: int) -> None:
    """Tells when it began."""
    jobs.stamp(port)


def install() -> None:
    """Makes the tables."""
    call_command("migrate", verbosity=0)


def push_noop() -> None:
    noop.enqueue()


def push_batch(count: int) -> None:
    """In one transaction."""
    with transaction.atomic():
        for _ in range(count):
            noop.enqueue()


def push_stamp(port: int) -> None:
    stamp.enqueue(port)


def unfinished() -> int:
    """Jobs that are not done."""
    return count_of("SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE status IN ('READY', 'RUNNING')")
