"""Commands that answer about one job: explain, logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from pyqueue.cli.door import Door, Place, place_options, segment
from pyqueue.cli.output import print_json
from pyqueue.cli.storage import json_option, reports_errors

# Shorter than what a server, or a proxy before it, would wait for.
_WAIT_MS: Final = 20_000


@click.command()
@click.argument("job_id", metavar="ID")
@json_option
@reports_errors
@place_options
def explain(job_id: str, place: Place, as_json: bool) -> None:
    """Say why a job is not running: what holds it, until when, and by whom.

    Example: pyqueue explain 0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e --storage jobs.db
    """
    with place.open() as door:
        found = door.ask("GET", f"/jobs/{segment(job_id)}/explain")
    if as_json:
        return print_json([{key: value for key, value in found.items() if key != "ok"}])
    return click.echo(found["sentence"])


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on with each message as it is written, until the job has ended.")
@click.option("--after", default=0, help="Only messages with a higher number.")
@json_option
@reports_errors
@place_options
def logs(job_id: str, follow: bool, after: int, place: Place, as_json: bool) -> None:
    """Show what a job has reported.

    Example: pyqueue logs 0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e --follow --storage jobs.db
    """
    with place.open() as door:
        try:
            for entry in _entries(door, job_id, after, follow=follow):
                _print(entry, as_json=as_json)
        except KeyboardInterrupt:
            return


def _entries(door: Door, job_id: str, after: int, *, follow: bool) -> Iterator[dict[str, Any]]:
    path, wait_ms = f"/jobs/{segment(job_id)}/logs", 0
    while True:
        page = door.ask("GET", path, query={"after": after, "wait_ms": wait_ms})
        yield from page["logs"]
        if page["is_over"] or not follow:
            return
        after, wait_ms = (page["logs"][-1]["number"] if page["logs"] else after), _WAIT_MS


def _print(entry: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json([{key: entry[key] for key in ("number", "timestamp", "message")}])
    else:
        click.echo(f"{entry['timestamp']}  {entry['message']}")
