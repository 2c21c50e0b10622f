"""`manage.py rqworker`: runs the tasks of the project."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import autoreload

from pyqueue.contrib.django.handle import current
from pyqueue.core.errors import PyQueueError
from pyqueue.core.worker import turns

# Every call of sqlite3 gives up the GIL and waits up to this long to get it back while another thread computes.
_SWITCH_INTERVAL_SECONDS = 0.0005

_NUMBERS = (
    ("--concurrency", "Jobs that run at the same time (1; processes: one per processor)."),
    ("--max-jobs", "End after so many jobs."),
    ("--max-jobs-per-child", "Mode process: replace a child after so many jobs."),
    ("--max-memory-mb", "Beyond it a child process is replaced; a worker without such ends."),
    ("--lease-ms", "How long a job is this worker's without a heartbeat (30,000)."),
    ("--grace-ms", "How long running jobs may finish at a stop (30,000)."),
)
_OPTIONS = (
    "mode",
    "burst",
    "name",
    "concurrency",
    "max_jobs",
    "max_jobs_per_child",
    "max_memory_mb",
    "lease_ms",
    "grace_ms",
)


class Command(BaseCommand):  # type: ignore[misc]  # Django comes without types
    """A worker in this process."""

    help = (
        "Runs the tasks of this project until it is stopped: Ctrl-C or SIGTERM lets running jobs finish, a second one "
        "gives them back. Start as many as you like."
    )
    requires_migrations_checks = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """How it works."""
        parser.add_argument(
            "queues", nargs="*", help="In order of preference (emails reports), or by weight (emails=3 reports=1). All."
        )
        parser.add_argument("--queues", dest="named", metavar="A,B", help="The same, separated by commas.")
        parser.add_argument("--mode", choices=["thread", "async", "process"], help="As the functions are written.")
        parser.add_argument("--burst", "--batch", action="store_true", help="End when nothing is ready.")
        parser.add_argument("--name", help="What people call this worker.")
        for flag, text in _NUMBERS:
            parser.add_argument(flag, type=int, help=text)
        parser.add_argument(
            "--reload",
            action=argparse.BooleanOptionalAction,
            default=None,
            help="Start anew whenever code changes; as the default, with DEBUG and without --burst.",
        )

    def handle(self, *_: Any, reload: bool | None, **options: Any) -> None:
        """Works."""
        if (settings.DEBUG and not options["burst"]) if reload is None else reload:
            autoreload.run_with_reloader(self._work, **options)
        else:
            self._work(**options)

    def _work(self, *, queues: list[str], named: str | None, **options: Any) -> None:
        autoreload.raise_last_exception()
        sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
        names = ",".join([*queues, *filter(None, (named,))])
        chosen: Any = {option: options[option] for option in _OPTIONS if options[option] is not None}
        try:
            worker = current().worker(turns.parse(names) if names else None, **chosen)
            known = worker.presence
            if options["verbosity"]:
                self.stderr.write(
                    f"pyqueue {known.version}: {known.id} on {known.host}, process {known.pid}\n"
                    f"  queues  {worker.queues_text}\n"
                    f"  mode    {known.mode}, {known.concurrency} at a time\n"
                    f"  tasks   {', '.join(known.tasks)}",
                    self.style.NOTICE,
                )
            report = worker.run()
        except PyQueueError as error:
            raise CommandError(str(error)) from error
        if options["verbosity"]:
            self.stderr.write(
                f"{report.completed} completed, {report.failed} failed, {report.released} given back, "
                f"{report.lost} too late",
                self.style.NOTICE,
            )
