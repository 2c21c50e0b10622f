"""Commands on queues: status, pause, resume, purge, bulk."""

from __future__ import annotations

from typing import Any

import click

from pyqueue.cli.door import Place, place_options, queue_segment
from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, reports_errors
from pyqueue.core.engine.bulk import BulkAction
from pyqueue.core.states import STATES, JobState


@click.command()
@json_option
@reports_errors
@place_options
def status(place: Place, as_json: bool) -> None:
    """Show every queue and how many of its jobs are in each state.

    Example: pyqueue status --storage jobs.db
    """
    with place.open() as door:
        queues = door.ask("GET", "/queues")["queues"]
    if as_json:
        return print_json(queues)
    if not queues:
        return click.echo("no queues yet", err=True)
    rows = [(queue["name"], *(queue["counts"][state.value] for state in STATES), _paused(queue)) for queue in queues]
    return print_table(["queue", *(state.value for state in STATES), "paused"], rows)


def _paused(queue: dict[str, Any]) -> str:
    is_open = queue["breaker"] is not None and queue["breaker"]["state"] == "open"
    facts = (("pushes", queue["pushes_paused"]), ("pulls", queue["pulls_paused"]), ("breaker open", is_open))
    return " and ".join(what for what, holds in facts if holds)


@click.command()
@click.argument("queue")
@click.option("--pulls", is_flag=True, help="Hand out no jobs either.")
@reports_errors
@place_options
def pause(queue: str, pulls: bool, place: Place) -> None:
    """Refuse pushes to QUEUE until it is resumed.

    Example: pyqueue pause emails --storage jobs.db
    """
    with place.open() as door:
        door.ask("POST", f"/queues/{queue_segment(queue)}/pause", body={"pulls": pulls})
    click.echo(f"{queue} is paused", err=True)


@click.command()
@click.argument("queue")
@reports_errors
@place_options
def resume(queue: str, place: Place) -> None:
    """End every pause of QUEUE.

    Example: pyqueue resume emails --storage jobs.db
    """
    with place.open() as door:
        door.ask("POST", f"/queues/{queue_segment(queue)}/resume")
    click.echo(f"{queue} is not paused", err=True)


@click.command()
@click.argument("queue")
@click.option("--state", type=click.Choice([each.value for each in JobState if each is not JobState.ACTIVE]))
@click.option("--yes", is_flag=True, help="Do not ask.")
@reports_errors
@place_options
def purge(queue: str, state: str | None, yes: bool, place: Place) -> None:
    """Remove the jobs of QUEUE in one state, or in all states but active. Prints how many.

    Example: pyqueue purge emails --state completed --yes --storage jobs.db
    """
    with place.open() as door:
        if not yes:
            click.confirm(f"Remove the {state or 'not active'} jobs of {queue}?", abort=True, err=True)
        click.echo(door.ask("POST", f"/queues/{queue_segment(queue)}/purge", body={"state": state})["removed"])


@click.command()
@click.argument("action", type=click.Choice([each.value for each in BulkAction]))
@click.argument("queue")
@click.option("--state", type=click.Choice([each.value for each in JobState]), help="Only jobs in this state.")
@click.option("--name", help="Only jobs of this name.")
@click.option("--tag", help="Only jobs with this tag.")
@click.option("--flow-id", help="Only jobs of this flow.")
@click.option("--custom-id", help="Only jobs with this id of yours.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reports_errors
@place_options
def bulk(action: str, queue: str, yes: bool, place: Place, **conditions: str | None) -> None:
    """Cancel, retry or delete all jobs of QUEUE that meet the conditions. Prints how many.

    Example: pyqueue bulk retry emails --state dlq --name send-welcome --yes --storage jobs.db
    """
    with place.open() as door:
        if not yes:
            told = ", ".join(f"{name} {value}" for name, value in conditions.items() if value is not None)
            click.confirm(f"{action.capitalize()} the jobs of {queue} ({told or 'all of them'})?", abort=True, err=True)
        body = {"action": action, **conditions}
        click.echo(door.ask("POST", f"/queues/{queue_segment(queue)}/bulk", body=body)["jobs"])
