"""Commands on queues: status, pause, resume, purge."""

from __future__ import annotations

import click

from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, open_queue, reports_errors, storage_option
from pyqueue.core.job import QueueInfo
from pyqueue.core.shapes import queue_object
from pyqueue.core.states import STATES, JobState


@click.command()
@storage_option
@json_option
@reports_errors
def status(storage: str, as_json: bool) -> None:
    """Show every queue and how many of its jobs are in each state.

    Example: pyqueue status --storage jobs.db
    """
    with open_queue(storage) as queue:
        infos = queue.queues()
    if as_json:
        return print_json(map(queue_object, infos))
    if not infos:
        return click.echo("no queues yet", err=True)
    rows = [
        (
            info.name,
            *(getattr(info.counts, state.value) for state in STATES),
            _paused(info),
        )
        for info in infos
    ]
    return print_table(["queue", *(state.value for state in STATES), "paused"], rows)


def _paused(info: QueueInfo) -> str:
    is_open = info.breaker is not None and info.breaker.is_open
    facts = (("pushes", info.pushes_paused), ("pulls", info.pulls_paused), ("breaker open", is_open))
    return " and ".join(what for what, holds in facts if holds)


@click.command()
@click.argument("queue")
@click.option("--pulls", is_flag=True, help="Hand out no jobs either.")
@storage_option
@reports_errors
def pause(queue: str, pulls: bool, storage: str) -> None:
    """Refuse pushes to QUEUE until it is resumed.

    Example: pyqueue pause emails --storage jobs.db
    """
    with open_queue(storage) as opened:
        opened.pause(queue, pulls=pulls)
    click.echo(f"{queue} is paused", err=True)


@click.command()
@click.argument("queue")
@storage_option
@reports_errors
def resume(queue: str, storage: str) -> None:
    """End every pause of QUEUE.

    Example: pyqueue resume emails --storage jobs.db
    """
    with open_queue(storage) as opened:
        opened.resume(queue)
    click.echo(f"{queue} is not paused", err=True)


@click.command()
@click.argument("queue")
@click.option("--state", type=click.Choice([each.value for each in JobState if each is not JobState.ACTIVE]))
@click.option("--yes", is_flag=True, help="Do not ask.")
@storage_option
@reports_errors
def purge(queue: str, state: str | None, yes: bool, storage: str) -> None:
    """Remove the jobs of QUEUE in one state, or in all states but active. Prints how many.

    Example: pyqueue purge emails --state completed --yes --storage jobs.db
    """
    with open_queue(storage) as opened:
        if not yes:
            click.confirm(f"Remove the {state or 'not active'} jobs of {queue}?", abort=True, err=True)
        click.echo(opened.purge(queue, state=state))
