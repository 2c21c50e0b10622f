"""`manage.py rqworker`: runs the tasks of the project."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils import autoreload

from pyqueue.cli.reloaded import Child
from pyqueue.contrib.django import checks
from pyqueue.contrib.django.handle import current
from pyqueue.core.errors import PyQueueError
from pyqueue.core.worker import turns
from pyqueue.core.worker.worker import Worker

# Every call of sqlite3 gives up the GIL and waits up to this long to get it back while another thread computes.
_SWITCH_INTERVAL_SECONDS = 0.0005
# With this code a process asks the reloader to start it anew.
_CHANGED: Final = 3
_LOOK_SECONDS: Final = 0.5

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
    requires_system_checks = ()  # They are made by `handle`.

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
        parser.add_argument("--skip-checks", action="store_true", help="Skip system checks.")
        parser.add_argument(
            "--reload",
            action=argparse.BooleanOptionalAction,
            default=None,
            help="Start anew whenever code changes; as the default, with DEBUG and without --burst.",
        )

    def handle(self, *_: Any, reload: bool | None, **options: Any) -> None:
        """Works."""
        if (settings.DEBUG and not options["burst"]) if reload is None else reload:
            self._reload(options)
        else:
            # Not all, which import what only web processes need, nor those of the migrations, which import them.
            if not options["skip_checks"]:
                self.check(tags=[checks.TAG])
            self._work(**options)

    def _reload(self, options: dict[str, Any]) -> NoReturn:
        """Works in a child process, which ends when the code changes, and is then started anew."""
        if os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true":
            self._work_until_changed(options)
        with Child(autoreload.get_child_arguments(), {autoreload.DJANGO_AUTORELOAD_ENV: "true"}) as child:
            while True:
                began = time.time()
                child.start()
                code = child.wait()
                if child.is_stopping or (code != _CHANGED and code <= 0):
                    sys.exit(0 if code == _CHANGED else code)
                if code != _CHANGED:  # It has said what is wrong with the code.
                    self.stderr.write("waiting for a change of the code", self.style.NOTICE)
                    while not child.is_stopping and not _has_changed_since(began):
                        time.sleep(_LOOK_SECONDS)

    def _work_until_changed(self, options: dict[str, Any]) -> NoReturn:
        """Works on this thread, beside one that watches the code. As runserver it outlives what is wrong with that."""
        watch = Watch(self._say_changed if options["verbosity"] else lambda: None)
        watch.start()
        try:
            if not options["skip_checks"]:
                self.check(display_num_errors=options["verbosity"] > 0)
                self.check_migrations()
                connections.close_all()
            self._work(**options, watch=watch)
        except CommandError as error:
            self.stderr.write(str(error))
            watch.has_changed.wait()
        sys.exit(_CHANGED if watch.has_changed.is_set() else 0)

    def _say_changed(self) -> None:
        self.stderr.write("the code has changed; starting anew after the jobs that run", self.style.NOTICE)

    def _work(self, *, queues: list[str], named: str | None, watch: Watch | None = None, **options: Any) -> None:
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
            if watch is not None:
                watch.stop_by_change(worker)
            report = worker.run()
        except PyQueueError as error:
            raise CommandError(str(error)) from error
        if options["verbosity"]:
            self.stderr.write(
                f"{report.completed} completed, {report.failed} failed, {report.released} given back, "
                f"{report.lost} too late",
                self.style.NOTICE,
            )


class Watch(threading.Thread):
    """Watches the code with Django's reloader, which ends its thread when that has changed."""

    def __init__(self, say_changed: Callable[[], None]) -> None:
        super().__init__(name="pyqueue-reload", daemon=True)
        self._say_changed = say_changed
        self.has_changed = threading.Event()
        self._worker: Worker | None = None

    def run(self) -> None:
        try:
            autoreload.get_reloader().run(threading.main_thread())
        except SystemExit:
            self.has_changed.set()
            self._say_changed()
            if self._worker is not None:
                self._worker.stop()

    def stop_by_change(self, worker: Worker) -> None:
        """Has the worker end after what it runs when the code changes; at once if it has."""
        self._worker = worker
        if self.has_changed.is_set():
            worker.stop()


def _has_changed_since(began: float) -> bool:
    """Whether the code of a module has been written since."""
    return any(_written_at(path) > began for path in autoreload.iter_all_python_module_files())


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
