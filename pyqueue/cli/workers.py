"""`pyqueue workers`: who is working, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, open_queue, reports_errors, storage_option
from pyqueue.core.presence import WorkerInfo
from pyqueue.core.shapes import worker_object

_COLUMNS = ("worker", "host", "pid", "mode", "at once", "queues", "up", "seen", "jobs", "working on")
_JOBS_SHOWN = 5


@click.command()
@storage_option
@json_option
@reports_errors
def workers(storage: str, as_json: bool) -> None:
    """Show the workers that live, and the jobs they have in hand.

    A worker that was not heard of for half a minute is not shown: it has died, and its jobs go to others.

    Example: pyqueue workers --storage jobs.db
    """
    with open_queue(storage) as queue:
        infos = queue.workers()
    if as_json:
        return print_json(map(worker_object, infos))
    if not infos:
        return click.echo("no workers are running", err=True)
    now = datetime.now(UTC)
    return print_table(_COLUMNS, (row for info in infos for row in _rows(info, now)))


def _rows(info: WorkerInfo, now: datetime) -> Iterator[tuple[object, ...]]:
    """A line for the worker with the job it has had longest, and one for each of the next few."""
    shown = [f"{job.name} {job.id} for {_span(now - (job.started_at or now))}" for job in info.jobs[:_JOBS_SHOWN]]
    if len(info.jobs) > _JOBS_SHOWN:
        shown.append(f"and {len(info.jobs) - _JOBS_SHOWN} more")
    queues, up, seen = ", ".join(info.queues), _span(now - info.started_at), f"{_span(now - info.seen_at)} ago"
    first, *rest = shown or [""]
    yield (info.id, info.host, info.pid, info.mode, info.concurrency, queues, up, seen, len(info.jobs), first)
    for each in rest:
        yield (*[""] * (len(_COLUMNS) - 1), each)


def _span(span: timedelta) -> str:
    """A length of time as people say it: 5s, 3m 5s, 2h 3m, 4d 2h."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {seconds % 60}s" if minutes else f"{seconds}s"
