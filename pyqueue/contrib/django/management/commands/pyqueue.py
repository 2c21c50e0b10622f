"""`manage.py pyqueue …`: the commands of `pyqueue` on the queue of the project."""

from __future__ import annotations

import argparse
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, cast

import click
from django.core.management.base import BaseCommand, CommandError

from pyqueue.cli.main import main
from pyqueue.cli.project import placed
from pyqueue.contrib.django.handle import current
from pyqueue.contrib.django.management.commands.rqworker import Command as Worker
from pyqueue.contrib.django.queues import ProjectQueue
from pyqueue.core.errors import PyQueueError


class Command(BaseCommand):  # type: ignore[misc]  # Django comes without types
    """Passes its arguments on."""

    help = (
        "Looks at the queue of this project and changes it: status, jobs, dlq, inspect, retry, cancel, purge, "
        "schedules, and all other commands of pyqueue. For theirs: manage.py pyqueue -- --help"
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
        with redirect_stdout(self.stdout._out), redirect_stderr(self.stderr._out):
            try:
                with placed(cast(ProjectQueue, current()).worker_url()):
                    status = main.main(given, prog_name="manage.py pyqueue", standalone_mode=False)
            except click.UsageError as error:
                raise CommandError(error.format_message(), returncode=2) from None
            except click.Abort:
                raise CommandError("stopped") from None
            except PyQueueError as error:
                raise CommandError(str(error)) from None
        if status:  # What was wrong has been said.
            raise SystemExit(status)
