"""django-tasks-db's tasks, which are Django's."""

from __future__ import annotations

import importlib

import django

from bench.peer import jobs

_task = importlib.import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks").task


@_task(queue_name="bench")
def noop() -> None:
    """Nothing."""


@_task(queue_name="bench")
def stamp(port: int) -> None:
    """Tells when it began."""
    jobs.stamp(port)


UNFINISHED = "SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE status IN ('READY', 'RUNNING')"
push_noop = noop.enqueue
push_stamp = stamp.enqueue
