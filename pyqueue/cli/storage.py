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
    if not creates:
        require_queue(storage)
    elif not is_postgres(storage) and not os.path.exists(_file(storage)):
        click.echo(f"creating {_file(storage)}", err=True)
    return PyQueue(storage, durability=durability)


def require_queue(storage: str) -> None:
    """Raises ConfigError for a storage in which there is no queue yet; makes none."""
    if not is_postgres(storage):
        _file(storage)
    store = store_of(storage, durability="power", clock=SystemClock(), logs_events=True)
    try:
        if not store.exists():
            raise ConfigError(
                f"there is no queue in {store.path}; expected one that was used before, "
                f"or made by `{_program()} migrate`. Check the storage."
            )
    finally:
        store.close()


def _program() -> str:
    """How the commands are called here: `pyqueue`, or `flask pyqueue` inside of an application's."""
    context = click.get_current_context(silent=True)
    while context is not None and "migrate" not in getattr(context.command, "commands", ()):
        context = context.parent
    return "pyqueue" if context is None else context.command_path


def _file(storage: str) -> str:
    path = sqlite_path(storage)
    if path == MEMORY:
        raise ConfigError("storage ':memory:' would be gone with this command; expected the path of a file.")
    return path


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
