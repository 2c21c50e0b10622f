"""Procrastinate, with tasks on its event loop."""

from __future__ import annotations

import os
from functools import cache

from procrastinate import App, PsycopgConnector

from bench.peer import jobs
from bench.peer.counting import count_of

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_FILE"]))
_noop = app.task(name="noop", queue="bench")(jobs.anoop)
_stamp = app.task(name="stamp", queue="bench")(jobs.astamp)


def install() -> None:
    """Makes the tables."""
    with app.open():
        app.schema_manager.apply_schema()


def push_noop() -> None:
    _open()
    _noop.defer()


def push_batch(count: int) -> None:
    """All in one call."""
    _open()
    _noop.batch_defer(*[{}] * count)


def push_stamp(port: int) -> None:
    _open()
    _stamp.defer(port=port)


def unfinished() -> int:
    """Jobs that are not done."""
    return count_of("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")


@cache
def _open() -> None:
    app.open()
