"""`pyqueue workers`: who is working, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pyqueue.cli.door import Place, place_options
from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, reports_errors

_COLUMNS = ("worker", "host", "pid", "mode", "at once", "queues", "up", "seen", "jobs", "working on")
_JOBS_SHOWN = 5


@click.command()
@json_option
@reports_errors
@place_options
def workers(place: Place, as_json: bool) -> None:
    """Show the workers that live, and the jobs they have in hand.

    A worker that was not heard of for half a minute is not shown: it has died, and its jobs go to others.

    Example: pyqueue workers --storage jobs.db
    """
    with place.open() as door:
        found = door.ask("GET", "/workers")["workers"]
    if as_json:
        return print_json(found)
    if not found:
        return click.echo("no workers are running", err=True)
    now = datetime.now(UTC)
    return print_table(_COLUMNS, (row for worker in found for row in _rows(worker, now)))


def _rows(worker: dict[str, Any], now: datetime) -> Iterator[tuple[object, ...]]:
    """A line for the worker with the job it has had longest, and one for each of the next few."""
    jobs = worker["jobs"]
    shown = [f"{job['name']} {job['id']} for {_since(job['started_at'], now)}" for job in jobs[:_JOBS_SHOWN]]
    if len(jobs) > _JOBS_SHOWN:
        shown.append(f"and {len(jobs) - _JOBS_SHOWN} more")
    known = (worker[key] for key in ("id", "host", "pid", "mode", "concurrency"))
    up, seen = _since(worker["started_at"], now), f"{_since(worker['seen_at'], now)} ago"
    first, *rest = shown or [""]
    yield (*known, ", ".join(worker["queues"]), up, seen, len(jobs), first)
    for each in rest:
        yield (*[""] * (len(_COLUMNS) - 1), each)


def _since(moment: str | None, now: datetime) -> str:
    return _span(timedelta() if moment is None else now - datetime.fromisoformat(moment))


def _span(span: timedelta) -> str:
    """A length of time as people say it: 5s, 3m 5s, 2h 3m, 4d 2h."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {seconds % 60}s" if minutes else f"{seconds}s"
