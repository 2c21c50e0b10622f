"""Commands on flows: show, cancel, retry, delete."""

from __future__ import annotations

import click

from pyqueue.cli.door import Place, place_options, segment
from pyqueue.cli.drawing import drawn
from pyqueue.cli.output import print_json
from pyqueue.cli.storage import json_option, open_queue, reports_errors, storage_option
from pyqueue.core.flow import FlowStatus
from pyqueue.core.shapes import counts_object, job_object


@click.group()
def flows() -> None:
    """Look at flows (and batches), and step in on them as a whole.

    Example: pyqueue flows show nightly --storage jobs.db
    """


@flows.command()
@click.argument("flow_id")
@click.option("--limit", default=100, show_default=True, help="Draw at most so many jobs, 0 to 1,000; the oldest.")
@storage_option
@json_option
@reports_errors
def show(flow_id: str, limit: int, storage: str, as_json: bool) -> None:
    """Show how far FLOW_ID is, and draw its jobs: each below what it waits for.

    Example: pyqueue flows show nightly --storage jobs.db
    """
    with open_queue(storage) as opened:
        flow = opened.get_flow(flow_id, limit=limit)
    if as_json:
        return print_json([_flow_object(flow)])
    if not flow.total:
        click.echo(f"no job carries the flow id {flow_id!r}", err=True)
        raise click.exceptions.Exit(1)
    counts = ", ".join(f"{number} {state}" for state, number in counts_object(flow.counts).items() if number)
    click.echo(f"{flow.ended} of {flow.total} ended ({flow.progress} %): {counts}")
    for line in drawn(flow.jobs):
        click.echo(line)
    if flow.total > len(flow.jobs):
        click.echo(f"and {flow.total - len(flow.jobs)} more: raise --limit", err=True)
    return None


def _flow_object(flow: FlowStatus) -> dict[str, object]:
    summary = counts_object(flow.counts) | {"total": flow.total}
    return {
        "flow_id": flow.flow_id,
        "progress": flow.progress,
        "summary": summary,
        "jobs": [job_object(job) for job in flow.jobs],
    }


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
