"""Commands on webhooks: list, create, edit, delete, test."""

from __future__ import annotations

from typing import Any

import click

from pyqueue.cli.door import Place, place_options, segment
from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, reports_errors

_events = click.option("--event", "events", multiple=True, help="Such as job_failed; may be given several times.")
_queues = click.option("--queue", "queues", multiple=True, help="Only of this queue; may be given several times.")
_secret = click.option(
    "--secret",
    envvar="PYQUEUE_WEBHOOK_SECRET",
    help="To sign with; others on the machine do not see PYQUEUE_WEBHOOK_SECRET.",
)


@click.group()
def webhooks() -> None:
    """List, create, edit, delete and test webhooks. A server with [webhooks] enabled delivers them.

    Example: pyqueue webhooks create https://example.com/hook --event job_failed --storage jobs.db
    """


@webhooks.command("list")
@json_option
@reports_errors
@place_options
def list_webhooks(place: Place, as_json: bool) -> None:
    """Show all webhooks, oldest first, without their secrets.

    Example: pyqueue webhooks list --storage jobs.db
    """
    with place.open() as door:
        found = door.ask("GET", "/webhooks")["webhooks"]
    if as_json:
        return print_json(found)
    if not found:
        return click.echo("no webhooks", err=True)
    return print_table(["id", "url", "events", "queues", "state"], map(_line, found))


def _line(webhook: dict[str, Any]) -> tuple[object, ...]:
    state = "active" if webhook["active"] else "stopped"
    if webhook["failures"]:
        state += f", {webhook['failures']} failed: {webhook['last_error']}"
    events, queues = ", ".join(webhook["events"]) or "usual", ", ".join(webhook["queues"]) or "all"
    return webhook["id"], webhook["url"], events, queues, state


@webhooks.command()
@click.argument("url")
@_events
@_queues
@_secret
@reports_errors
@place_options
def create(url: str, events: tuple[str, ...], queues: tuple[str, ...], secret: str | None, place: Place) -> None:
    """Register URL to be told of what happens from now on; prints its id.

    Example: pyqueue webhooks create https://example.com/hook --queue emails --storage jobs.db
    """
    body = {"url": url, "events": events, "queues": queues, "secret": secret}
    with place.open(creates=True) as door:
        click.echo(door.ask("POST", "/webhooks", body=body)["webhook"]["id"])


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--url", help="Where it is told from now on.")
@_events
@_queues
@_secret
@click.option("--active/--stopped", "is_active", default=None, help="Start it again after failures, or stop it.")
@reports_errors
@place_options
def edit(
    webhook_id: str,
    url: str | None,
    events: tuple[str, ...],
    queues: tuple[str, ...],
    secret: str | None,
    is_active: bool | None,
    place: Place,
) -> None:
    """Change what is given of the webhook ID.

    Example: pyqueue webhooks edit 4e5f… --active --storage jobs.db
    """
    given = {"url": url, "events": events or None, "queues": queues or None, "secret": secret, "active": is_active}
    changes = {key: value for key, value in given.items() if value is not None}
    with place.open() as door:
        door.ask("PATCH", f"/webhooks/{segment(webhook_id)}", body=changes)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@reports_errors
@place_options
def delete(webhook_id: str, place: Place) -> None:
    """Remove the webhook ID, with whatever was still to be delivered to it.

    Example: pyqueue webhooks delete 4e5f… --storage jobs.db
    """
    with place.open() as door:
        door.ask("DELETE", f"/webhooks/{segment(webhook_id)}")


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@reports_errors
@place_options
def test(webhook_id: str, place: Place) -> None:
    """Send the webhook ID an event webhook.test; prints the id of the job that does.

    Example: pyqueue webhooks test 4e5f… --storage jobs.db
    """
    with place.open() as door:
        click.echo(door.ask("POST", f"/webhooks/{segment(webhook_id)}/test")["id"])
