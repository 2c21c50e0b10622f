"""Commands that answer about one job: explain, logs."""

from __future__ import annotations

import click
import msgspec

from pyqueue.cli.output import print_json
from pyqueue.cli.storage import json_option, open_queue, reports_errors, storage_option
from pyqueue.core.job import LogEntry
from pyqueue.core.shapes import log_object, moment_text


@click.command()
@click.argument("job_id", metavar="ID")
@storage_option
@json_option
@reports_errors
def explain(job_id: str, storage: str, as_json: bool) -> None:
    """Say why a job is not running: what holds it, until when, and by whom.

    Example: pyqueue explain 0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e --storage jobs.db
    """
    with open_queue(storage) as opened:
        explanation = opened.explain(job_id)
    if as_json:
        return print_json([msgspec.to_builtins(explanation)])
    return click.echo(explanation.sentence)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on with each message as it is written, until the job has ended.")
@click.option("--after", default=0, help="Only messages with a higher number.")
@storage_option
@json_option
@reports_errors
def logs(job_id: str, follow: bool, after: int, storage: str, as_json: bool) -> None:
    """Show what a job has reported.

    Example: pyqueue logs 0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e --follow --storage jobs.db
    """
    with open_queue(storage) as opened:
        entries = opened.follow_logs(job_id, after=after) if follow else opened.logs(job_id, after=after)
        try:
            for entry in entries:
                _print(entry, as_json=as_json)
        except KeyboardInterrupt:
            return


def _print(entry: LogEntry, *, as_json: bool) -> None:
    if as_json:
        print_json([{"number": entry.number, **log_object(entry)}])
    else:
        click.echo(f"{moment_text(entry.at)}  {entry.message}")
