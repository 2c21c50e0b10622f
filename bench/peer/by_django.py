"""A Django project and its queue, as a request uses them: a row and a job in one transaction."""

from __future__ import annotations

import os

import django
from django.core.management import call_command
from django.db import connection, transaction

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.peer.site.settings")
django.setup()

from bench.peer.site.models import Order  # noqa: E402  # needs the apps
from bench.peer.site.tasks import queue  # noqa: E402


def install() -> None:
    """Makes the tables."""
    call_command("migrate", verbosity=0, run_syncdb=True)


def push_noop() -> None:
    with transaction.atomic():
        Order.objects.create(email="user@example.org")
        queue.push_noop()


def push_stamp(port: int) -> None:
    with transaction.atomic():
        queue.push_stamp(port)


def unfinished() -> int:
    """Jobs that are not done."""
    if hasattr(queue, "unfinished"):
        return int(queue.unfinished())
    with connection.cursor() as cursor:
        cursor.execute(queue.UNFINISHED)
        return int(cursor.fetchone()[0])
