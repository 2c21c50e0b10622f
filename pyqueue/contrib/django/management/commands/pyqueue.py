"""`manage.py pyqueue …`: the commands of `pyqueue` on the queue of the project."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, cast

import click
from django.core.management.base import BaseCommand, CommandError

from pyqueue.cli.main import main
from pyqueue.contrib.django.handle import current
from pyqueue.contrib.django.management.commands.rqworker import Command as Worker
from pyqueue.contrib.django.queues import ProjectQueue
from pyqueue.core.config import MEMORY
from pyqueue.core.errors import PyQueueError

_PLACES = {"PYQUEUE_STORAGE", "PYQUEUE_SERVER", "PYQUEUE_TOKEN"}


class Command(BaseCommand):  # type: ignore[misc]  # Django comes without types
    """Passes its arguments on."""

    help = (
        "Looks at the queue of this project and changes it: status, jobs, inspect, retry, cancel, purge, schedules, "
        "and all other commands of pyqueue. For theirs: manage.py pyqueue -- --help"
    )
    requires_migrations_checks = False
    stealth_options = ("arguments",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """All that follows is for the command."""
        parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="COMMAND …")

    def handle(self, *_: Any, arguments: list[str], **__: Any) -> None:
        """Runs it."""
        given = [each for each in arguments if each != "--"] or ["--help"]
        if given[0] == "worker":
            Worker().run_from_argv(["manage.py", "pyqueue worker", *given[1:]])
            return
        with _place(_url()), redirect_stdout(self.stdout._out), redirect_stderr(self.stderr._out):
            try:
                status = main.main(given, prog_name="manage.py pyqueue", standalone_mode=False)
            except click.UsageError as error:
                raise CommandError(error.format_message(), returncode=2) from None
            except click.Abort:
                raise CommandError("stopped") from None
        if status:  # What was wrong has been said.
            raise SystemExit(status)


def _url() -> str:
    try:
        url = cast(ProjectQueue, current()).worker_url()
    except PyQueueError as error:
        raise CommandError(str(error)) from None
    if url == MEMORY:
        raise CommandError("this database is in memory, where a command cannot see it; ask the queue itself.")
    return url


@contextmanager
def _place(url: str) -> Iterator[None]:
    """In the environment, where others do not see a password as they would in the arguments of a process."""
    before = {name: os.environ.pop(name) for name in _PLACES & os.environ.keys()}
    os.environ["PYQUEUE_STORAGE"] = url
    try:
        yield
    finally:
        del os.environ["PYQUEUE_STORAGE"]
        os.environ.update(before)
