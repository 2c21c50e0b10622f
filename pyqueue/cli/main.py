"""The group of all commands."""

from __future__ import annotations

import click

from pyqueue._version import VERSION
from pyqueue.cli.backup import backup
from pyqueue.cli.doctor import doctor
from pyqueue.cli.explain import explain, logs
from pyqueue.cli.flows import flows
from pyqueue.cli.jobs import cancel, dead_letters, delete, inspect, list_jobs, push, retry
from pyqueue.cli.limits import limits
from pyqueue.cli.queues import bulk, pause, purge, resume, status
from pyqueue.cli.schedules import schedules
from pyqueue.cli.serve import serve, token
from pyqueue.cli.storages import copy, migrate
from pyqueue.cli.webhooks import webhooks
from pyqueue.cli.worker import worker
from pyqueue.cli.workers import workers


@click.group("pyqueue", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="pyqueue %(version)s")
def main() -> None:
    """Persistent background jobs in one file, or in PostgreSQL.

    Every command works on the storage itself, beside the applications, workers and servers that use it; those on
    jobs, queues, flows, limits, schedules, workers and webhooks also through a server, with --server.
    """


STORAGES = (migrate, copy, backup, doctor)
JOBS = (push, status, inspect, explain, logs, list_jobs, dead_letters, retry, cancel, delete)
for command in (
    serve,
    token,
    backup,
    *JOBS,
    flows,
    worker,
    workers,
    purge,
    bulk,
    pause,
    resume,
    limits,
    schedules,
    webhooks,
    *STORAGES,
):
    main.add_command(command)
