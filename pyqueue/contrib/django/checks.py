"""System checks: what cannot work, and what will hurt later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.db import connections, router

from pyqueue.contrib.django.configuration import Configuration, configuration
from pyqueue.contrib.django.host import VENDORS, WRITERS
from pyqueue.contrib.django.models import Job
from pyqueue.contrib.django.queues import hosted_by
from pyqueue.core.errors import ConfigError, PyQueueError

# Of all of ours, for commands that make do with them.
TAG: Final = "pyqueue"


def check_settings(**_: Any) -> list[CheckMessage]:
    """`PYQUEUE` is understood, its database can hold a queue, and nobody else has our commands."""
    try:
        configured = configuration()
    except ConfigError as error:
        return [Error(str(error), id="pyqueue.E001")]
    found: list[CheckMessage] = []
    if configured.storage is None:
        found += _of_connection(configured)
    if not settings.USE_TZ:
        found.append(
            checks.Warning(
                "USE_TZ is False; the times of jobs are aware and in UTC all the same.",
                hint="Set USE_TZ = True, or compare them with aware datetimes.",
                id="pyqueue.W004",
            )
        )
    if apps.is_installed("django_rq") and _comes_later("django_rq"):
        found.append(
            checks.Warning(
                "django_rq is installed too, and both have a command rqworker; this one's is run.",
                hint="Put django_rq first for its own, and run ours by: manage.py pyqueue worker.",
                id="pyqueue.W005",
            )
        )
    return found


def check_database(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The tables are not of a newer version. That they are there is `migrate`'s to see to, which runs this before."""
    try:
        configured = configuration()
        if configured.storage is None and configured.database in (databases or ()):
            hosted_by(configured.database).require_known()
    except PyQueueError as error:
        return [Error(str(error), id="pyqueue.E003")]
    return []


def _of_connection(configured: Configuration) -> list[CheckMessage]:
    alias = configured.database
    if alias not in connections.settings:
        known = ", ".join(sorted(connections.settings))
        return [Error(f"PYQUEUE['DATABASE'] is {alias!r}, which is not in DATABASES ({known}).", id="pyqueue.E002")]
    connection = connections[alias]
    if connection.vendor not in VENDORS:
        return [
            Error(
                f"the database {alias!r} is of the kind {connection.vendor!r}, which cannot hold a queue.",
                hint="Keep it in a file of its own, PYQUEUE = {'STORAGE': 'jobs.db'}, or on another alias, "
                "{'DATABASE': 'jobs'}, of SQLite or PostgreSQL.",
                id="pyqueue.E002",
            )
        ]
    found: list[CheckMessage] = []
    looked_for = router.db_for_read(Job)
    if looked_for != alias:
        found.append(
            checks.Warning(
                f"the queue is on the database {alias!r}, but its models are looked for on {looked_for!r}.",
                hint="Set DATABASE_ROUTERS = ['pyqueue.contrib.django.router.Router'].",
                id="pyqueue.W002",
            )
        )
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
    if connection.vendor == "sqlite" and str(mode).upper() not in WRITERS:
        found.append(
            checks.Warning(
                f"transactions on the database {alias!r} begin as readers; one that reads, and then pushes after "
                "another process has written, fails at once with 'database is locked'.",
                hint="Set 'OPTIONS': {'transaction_mode': 'IMMEDIATE'}.",
                id="pyqueue.W001",
            )
        )
    return found


def _comes_later(name: str) -> bool:
    names = [config.name for config in apps.get_app_configs()]
    return names.index("pyqueue.contrib.django") < names.index(name)
