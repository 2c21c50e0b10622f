"""`pyqueue worker`: a process that runs a function on jobs."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from pyqueue.cli import logs
from pyqueue.cli.storage import open_queue, reports_errors, storage_option
from pyqueue.core.config import sqlite_path
from pyqueue.core.errors import ConfigError
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import Task

# Every call of sqlite3 gives up the GIL and waits up to this long to get it back while another
# thread computes; with Python's default of 5 ms a busy handler would slow every claim and ack.
_SWITCH_INTERVAL_SECONDS = 0.0005


@click.command()
@click.argument("what", metavar="MODULE:NAME")
@click.option("--queues", help="Names, separated by commas, in order of preference. For tasks, theirs by default.")
@click.option("--concurrency", default=1, show_default=True, help="Jobs that run at the same time.")
@click.option("--burst", is_flag=True, help="End when nothing is ready.")
@click.option("--lease-ms", type=int, help="How long a job is this worker's without a heartbeat (30,000).")
@click.option("--grace-ms", default=30_000, show_default=True, help="How long running jobs may finish at a stop.")
@click.option("--name", help="What people call this worker; the first part of its id, whose rest is random.")
@click.option("--durability", type=click.Choice(["power", "process"]), help="Of the storage: power by default.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@partial(storage_option, required=False)
@reports_errors
def worker(
    what: str,
    queues: str | None,
    durability: str | None,
    log_format: str,
    log_level: str,
    storage: str | None,
    **options: Any,
) -> None:
    """Run tasks, or one function, on the jobs of some queues.

    NAME is a PyQueue or a Tasks registry, whose tasks are run, or a handler: a function that takes a
    Job. What it returns becomes the job's result; what it raises is a failed attempt. An `async def`
    runs on one event loop, any other function on threads. SIGTERM or Ctrl-C lets running jobs finish;
    a second one gives them back and ends at once.

    Example: pyqueue worker shop.jobs:queue (or shop.jobs:handle --queues emails,reports --storage jobs.db)
    """
    found = _load(what)
    logs.set_up(log_format, log_level)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    with _queue_for(found, storage, durability) as opened:
        handler = None if isinstance(found, PyQueue | Tasks) else found
        names = _names(queues, opened, handler)
        running = opened.worker(names, handler, **options)
        click.echo(
            f"{running.worker_id} works on {', '.join(names)} of {opened.path} "
            f"({options['concurrency']} at a time); Ctrl-C stops it",
            err=True,
        )
        report = running.run()
    click.echo(
        f"{report.completed} completed, {report.failed} failed, {report.released} given back, {report.lost} too late",
        err=True,
    )


def _queue_for(found: Any, storage: str | None, durability: str | None) -> PyQueue:
    """The queue that was named, or one on the storage."""
    if isinstance(found, PyQueue):
        if durability is not None or (storage is not None and sqlite_path(storage) != found.path):
            raise ConfigError(
                f"the worker was given a queue on {found.path!r}, which has its own storage and durability; "
                "leave out --storage and --durability."
            )
        return found
    if storage is None:
        raise ConfigError("no storage; give --storage jobs.db, set PYQUEUE_STORAGE, or name a PyQueue.")
    opened = open_queue(storage, creates=True, durability=durability or "power")
    if isinstance(found, Tasks):
        opened.include(found)
    return opened


def _names(queues: str | None, opened: PyQueue, handler: Callable[..., Any] | None) -> list[str]:
    if queues is not None:
        return [name.strip() for name in queues.split(",") if name.strip()]
    if handler is not None:
        raise ConfigError("a handler needs --queues, such as --queues emails,reports; only tasks name theirs.")
    return opened.tasks.queues


def _load(path: str) -> Any:
    """The queue, tasks or function named `module:attribute`, found from the working directory as by `python -m`."""
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigError(f"handler {path!r}; expected MODULE:NAME, such as shop.jobs:queue or shop.jobs:handle.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise ConfigError(f"handler {path!r}: {error}; looked in {os.getcwd()} and on sys.path.") from error
    except AttributeError as error:
        raise ConfigError(f"handler {path!r}: {error}; expected a function of that module.") from error
    if isinstance(found, Task):
        raise ConfigError(f"{path!r} is one task; name its PyQueue or Tasks registry, whose tasks are all run.")
    if not callable(found) and not isinstance(found, PyQueue | Tasks):
        raise ConfigError(f"handler {path!r} is a {type(found).__name__}; expected a function that takes a Job.")
    return found
