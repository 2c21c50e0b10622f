"""What every command shares: the storage it works on, and how it ends."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pyqueue.core.clock import SystemClock
from pyqueue.core.config import MEMORY, is_postgres, sqlite_path, store_of
from pyqueue.core.errors import ConfigError, PyQueueError, ValidationError
from pyqueue.core.queue import PyQueue

F = TypeVar("F", bound=Callable[..., Any])


def storage_option(command: F, *, required: bool = True) -> F:
    """`--storage`, or the environment variable PYQUEUE_STORAGE."""
    option = click.option(
        "--storage",
        envvar="PYQUEUE_STORAGE",
        required=required,
        metavar="PATH",
        help="The queue's file, or a URL: sqlite:///jobs.db, postgresql://…. Also taken from PYQUEUE_STORAGE.",
    )
    return option(command)


def json_option(command: F) -> F:
    """`--json`: one object per line on stdout, for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")(command)


def open_queue(storage: str, *, creates: bool = False, durability: str = "power") -> PyQueue:
    """The queue of a command. Only commands that store something create a file, or tables, that are not there."""
    if is_postgres(storage):
        if not creates:
            _require_tables(storage)
        return PyQueue(storage, durability=durability)
    path = sqlite_path(storage)
    if path == MEMORY:
        raise ConfigError("storage ':memory:' would be gone with this command; expected the path of a file.")
    if not os.path.exists(path):
        if not creates:
            raise ConfigError(f"there is no file {path!r}; expected a queue that was used before. Check --storage.")
        click.echo(f"creating {path}", err=True)
    return PyQueue(storage, durability=durability)


def _require_tables(url: str) -> None:
    store = store_of(url, durability="power", clock=SystemClock(), logs_events=True)
    try:
        if not store.exists():
            raise ConfigError(f"no pyqueue tables in {store.path}; run `pyqueue migrate` there, or check --storage.")
    finally:
        store.close()


def reports_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Ends a command whose call was wrong with status 2, and one that failed with 1; each with one line."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except PyQueueError as error:
            click.echo(f"pyqueue: {' '.join(str(error).split())}", err=True)
            is_wrong_usage = isinstance(error, ConfigError | ValidationError)
            raise click.exceptions.Exit(2 if is_wrong_usage else 1) from None

    return run
