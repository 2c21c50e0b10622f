"""pyqueue as an application of Flask has it: the extension, on the file `BENCH_FILE`."""

from __future__ import annotations

import os

from flask import Flask

from bench.peer import jobs
from pyqueue import JobContext
from pyqueue.contrib.flask import FlaskQueue

queue = FlaskQueue()
_noop = queue.task(name="noop", queue="bench")(jobs.noop)


def init_app(app: Flask) -> None:
    """Gives the application its queue."""
    app.config["PYQUEUE_STORAGE"] = os.environ["BENCH_FILE"]
    app.config["PYQUEUE_DURABILITY"] = os.environ.get("BENCH_DURABILITY", "power")
    queue.init_app(app)


def push_noop() -> None:
    _noop.push()


@queue.task(queue="notes")
def note(context: JobContext) -> None:
    """Notes that it ran."""
    jobs.note(context.job.id)
