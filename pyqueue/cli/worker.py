"""`pyqueue worker`: a process that runs a function on jobs."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from pyqueue.cli import logs
from pyqueue.cli.storage import open_queue, reports_errors, storage_option
from pyqueue.core.errors import ConfigError

# Every call of sqlite3 gives up the GIL and waits up to this long to get it back while another
# thread computes; with Python's default of 5 ms a busy handler would slow every claim and ack.
_SWITCH_INTERVAL_SECONDS = 0.0005


@click.command()
@click.argument("handler", metavar="MODULE:HANDLER")
@click.option("--queues", required=True, help="Names, separated by commas, in order of preference.")
@click.option("--concurrency", default=1, show_default=True, help="Jobs that run at the same time.")
@click.option("--burst", is_flag=True, help="End when nothing is ready.")
@click.option("--lease-ms", type=int, help="How long a job is this worker's without a heartbeat (30,000).")
@click.option("--grace-ms", default=30_000, show_default=True, help="How long running jobs may finish at a stop.")
@click.option("--worker-id", help="A name for this worker; a random one by default.")
@click.option("--durability", type=click.Choice(["power", "process"]), default="power", show_default=True)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@storage_option
@reports_errors
def worker(
    handler: str,
    queues: str,
    concurrency: int,
    burst: bool,
    lease_ms: int | None,
    grace_ms: int,
    worker_id: str | None,
    durability: str,
    log_format: str,
    log_level: str,
    storage: str,
) -> None:
    """Run MODULE:HANDLER on the jobs of some queues.

    The handler takes a Job. What it returns becomes the job's result; what it raises is a failed
    attempt. An `async def` handler runs as tasks on one event loop, any other on threads. SIGTERM
    or Ctrl-C lets running jobs finish; a second one gives them back and ends at once.

    Example: pyqueue worker shop.jobs:handle --queues emails,reports --storage jobs.db
    """
    names = [name.strip() for name in queues.split(",") if name.strip()]
    function = _load(handler)
    logs.set_up(log_format, log_level)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    with open_queue(storage, creates=True, durability=durability) as opened:
        running = opened.worker(
            names,
            function,
            concurrency=concurrency,
            lease_ms=lease_ms,
            burst=burst,
            worker_id=worker_id,
            grace_ms=grace_ms,
        )
        click.echo(
            f"{running.worker_id} works on {', '.join(names)} of {opened.path} "
            f"({concurrency} at a time, durability {durability}); Ctrl-C stops it",
            err=True,
        )
        report = running.run()
    click.echo(
        f"{report.completed} completed, {report.failed} failed, {report.released} given back, {report.lost} too late",
        err=True,
    )


def _load(path: str) -> Callable[..., Any]:
    """The function named `module:attribute`, found from the working directory as by `python -m`."""
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigError(f"handler {path!r}; expected MODULE:HANDLER, such as shop.jobs:handle.")
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
    if not callable(found):
        raise ConfigError(f"handler {path!r} is a {type(found).__name__}; expected a function that takes a Job.")
    return found  # type: ignore[no-any-return]  # found by name: what it takes is not known here
