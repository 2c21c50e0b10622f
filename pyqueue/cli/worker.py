"""`pyqueue worker`: a process that runs a function on jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from pyqueue.cli.reload import reloading
from pyqueue.cli.storage import open_queue, reports_errors, storage_option
from pyqueue.core import logs
from pyqueue.core.errors import ConfigError
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import Task
from pyqueue.core.worker import target, turns
from pyqueue.core.worker.run import MODES
from pyqueue.core.worker.worker import Worker

# Every call of sqlite3 gives up the GIL and waits up to this long to get it back while another
# thread computes; with Python's default of 5 ms a busy handler would slow every claim and ack.
_SWITCH_INTERVAL_SECONDS = 0.0005

_QUEUES = "In order of preference (emails,reports) or by weight (emails=3,reports=1). For tasks, theirs by default."
_OPTIONS = (
    click.option("--queues", help=_QUEUES),
    click.option("--mode", type=click.Choice(MODES), help="By default as the functions are written: thread or async."),
    click.option("--concurrency", type=int, help="Jobs that run at the same time (1; processes: one per processor)."),
    click.option("--burst", is_flag=True, help="End when nothing is ready."),
    click.option("--max-jobs", type=int, help="End after so many jobs."),
    click.option(
        "--max-memory-mb", type=int, help="Beyond it a child process is replaced; a worker without such ends."
    ),
    click.option("--max-jobs-per-child", type=int, help="Processes: replace a child after so many jobs."),
    click.option("--lease-ms", type=int, help="How long a job is this worker's without a heartbeat (30,000)."),
    click.option("--grace-ms", type=int, help="How long running jobs may finish at a stop (30,000)."),
    click.option("--prefetch-ms", type=int, help="How long a claimed job may wait here, at the most (50)."),
    click.option("--name", help="What people call this worker; the first part of its id, whose rest is random."),
    click.option("--reload", is_flag=True, help="For development: start anew whenever Python code here changes."),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"),
)


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a worker works, whichever program has the command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("what", metavar="MODULE:NAME")
@worker_options
@click.option("--durability", type=click.Choice(["power", "process"]), help="Of the storage: power by default.")
@partial(storage_option, required=False)
@reports_errors
def worker(what: str, reload: bool, log_format: str, log_level: str, **options: Any) -> None:
    """Run tasks, or one function, on the jobs of some queues.

    NAME is a PyQueue or a Tasks registry, whose tasks are run, or a handler: a function that takes a
    Job. What it returns becomes the job's result; what it raises is a failed attempt. An `async def`
    runs on one event loop, any other function on threads; --mode process runs either in processes of
    their own. SIGTERM or Ctrl-C lets running jobs finish; a second one gives them back and ends at once.

    Exit codes: 0 it was stopped, or has done what it was to do; 1 it failed; 2 it was called wrongly.

    Example: pyqueue worker shop.jobs:queue (or shop.jobs:handle --queues emails,reports --storage jobs.db)
    """
    if reload:
        return reloading(os.getcwd())
    set_up(log_format, log_level)
    return _work(what, **options)


def set_up(log_format: Any, log_level: Any) -> None:
    """Makes this process one of a worker."""
    logs.set_up(log_format, log_level)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)


def work_on(opened: PyQueue, names: Any, handler: Callable[..., Any] | None, **options: Any) -> None:
    """Works on a queue until the end, and says so."""
    running = opened.worker(names, handler, **options)
    click.echo(_banner(running, opened), err=True)
    report = running.run()
    click.echo(
        f"{report.completed} completed, {report.failed} failed, {report.released} given back, {report.lost} too late",
        err=True,
    )


def _work(what: str, queues: str | None, storage: str | None, durability: str | None, **options: Any) -> None:
    found = _found(what)
    if options["mode"] == "process":
        options["import_path"] = what
    with _queue_for(found, storage, durability) as opened:
        handler = None if isinstance(found, PyQueue | Tasks) else found
        work_on(opened, _names(queues, handler), handler, **options)


def _banner(running: Worker, opened: PyQueue) -> str:
    known = running.presence
    tasks = f"\n  tasks    {', '.join(known.tasks)}" if known.tasks else ""
    return (
        f"pyqueue {known.version}: {known.id} on {known.host}, process {known.pid}\n"
        f"  storage  {opened.path}\n"
        f"  queues   {running.queues_text}\n"
        f"  mode     {known.mode}, {known.concurrency} at a time{tasks}\n"
        "Ctrl-C lets running jobs finish, a second one gives them back"
    )


def _queue_for(found: Any, storage: str | None, durability: str | None) -> PyQueue:
    """The queue that was named, or one on the storage."""
    if isinstance(found, PyQueue):
        if durability is not None or (storage is not None and PyQueue(storage).path != found.path):
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


def _names(queues: str | None, handler: Callable[..., Any] | None) -> list[str] | dict[str, int] | None:
    if queues is not None:
        return turns.parse(queues)
    if handler is not None:
        raise ConfigError("a handler needs --queues, such as --queues emails,reports; only tasks name theirs.")
    return None


def _found(what: str) -> Any:
    """The queue, tasks or function of this name."""
    found = target.load(what)
    if isinstance(found, Task):
        raise ConfigError(f"{what!r} is one task; name its PyQueue or Tasks registry, whose tasks are all run.")
    if not callable(found) and not isinstance(found, PyQueue | Tasks):
        raise ConfigError(f"{what!r} is a {type(found).__name__}; expected a function that takes a Job.")
    return found
