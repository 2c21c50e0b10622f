"""Commands on flows: show, cancel, retry, delete."""

from __future__ import annotations

from typing import Any

import click

from pyqueue.cli.door import Place, place_options, segment
from pyqueue.cli.drawing import drawn
from pyqueue.cli.output import print_json
from pyqueue.cli.storage import json_option, reports_errors
from pyqueue.core.states import STATES


@click.group()
def flows() -> None:
    """Look at flows (and batches), and step in on them as a whole.

    Example: pyqueue flows show nightly --storage jobs.db
    """


@flows.command()
@click.argument("flow_id")
@click.option("--limit", default=100, show_default=True, help="Draw at most so many jobs, 0 to 1,000; the oldest.")
@json_option
@reports_errors
@place_options
def show(flow_id: str, limit: int, place: Place, as_json: bool) -> None:
    """Show how far FLOW_ID is, and draw its jobs: each below what it waits for.

    Example: pyqueue flows show nightly --storage jobs.db
    """
    with place.open() as door:
        flow = door.ask("GET", f"/flows/{segment(flow_id)}", query={"limit": limit})
    if as_json:
        return print_json([{key: value for key, value in flow.items() if key != "ok"}])
    summary, jobs = flow["summary"], flow["jobs"]
    if not summary["total"]:
        click.echo(f"no job carries the flow id {flow_id!r}", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{_ended(summary)} of {summary['total']} ended ({flow['progress']} %): {_counts(summary)}")
    for line in drawn(jobs):
        click.echo(line)
    if summary["total"] > len(jobs):
        click.echo(f"and {summary['total'] - len(jobs)} more: raise --limit", err=True)
    return None


def _ended(summary: dict[str, Any]) -> int:
    return sum(summary[state] for state in ("completed", "dlq", "cancelled"))


def _counts(summary: dict[str, Any]) -> str:
    return ", ".join(f"{summary[state.value]} {state.value}" for state in STATES if summary[state.value])


@flows.command()
@click.argument("flow_id")
@json_option
@reports_errors
@place_options
def cancel(flow_id: str, place: Place, as_json: bool) -> None:
    """Withdraw what has not started of FLOW_ID, and ask workers to stop the rest. Prints how many jobs.

    Example: pyqueue flows cancel nightly --storage jobs.db
    """
    with place.open() as door:
        _say(flow_id, "cancelled", door.ask("POST", f"/flows/{segment(flow_id)}/cancel")["jobs"], as_json)


@flows.command()
@click.argument("flow_id")
@json_option
@reports_errors
@place_options
def retry(flow_id: str, place: Place, as_json: bool) -> None:
    """Send the dead and cancelled jobs of FLOW_ID round again. Prints how many.

    Example: pyqueue flows retry nightly --storage jobs.db
    """
    with place.open() as door:
        _say(flow_id, "retried", door.ask("POST", f"/flows/{segment(flow_id)}/retry")["jobs"], as_json)


@flows.command()
@click.argument("flow_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@reports_errors
@place_options
def delete(flow_id: str, yes: bool, place: Place, as_json: bool) -> None:
    """Remove all jobs of FLOW_ID, none of which may be active. Prints how many.

    Example: pyqueue flows delete nightly --yes --storage jobs.db
    """
    with place.open() as door:
        if not yes:
            click.confirm(f"Remove all jobs of flow {flow_id}?", abort=True, err=True)
        _say(flow_id, "deleted", door.ask("DELETE", f"/flows/{segment(flow_id)}")["jobs"], as_json)


def _say(flow_id: str, done: str, number: int, as_json: bool) -> None:
    if as_json:
        print_json([{"flow_id": flow_id, done: number}])
    else:
        click.echo(number)
