"""Commands on webhooks: list, create, edit, delete, test."""

from __future__ import annotations

import click

from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, open_queue, reports_errors, storage_option
from pyqueue.core.shapes import webhook_object
from pyqueue.core.webhook import Webhook

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
@storage_option
@json_option
@reports_errors
def list_webhooks(storage: str, as_json: bool) -> None:
    """Show all webhooks, oldest first, without their secrets.

    Example: pyqueue webhooks list --storage jobs.db
    """
    with open_queue(storage) as opened:
        found = opened.list_webhooks()
    if as_json:
        return print_json(map(webhook_object, found))
    if not found:
        return click.echo("no webhooks", err=True)
    return print_table(["id", "url", "events", "queues", "state"], map(_line, found))


def _line(webhook: Webhook) -> tuple[object, ...]:
    state = "active" if webhook.is_active else "stopped"
    if webhook.failures:
        state += f", {webhook.failures} failed: {webhook.last_error}"
    return webhook.id, webhook.url, ", ".join(webhook.events) or "usual", ", ".join(webhook.queues) or "all", state


@webhooks.command()
@click.argument("url")
@_events
@_queues
@_secret
@storage_option
@reports_errors
def create(url: str, events: tuple[str, ...], queues: tuple[str, ...], secret: str | None, storage: str) -> None:
    """Register URL to be told of what happens from now on; prints its id.

    Example: pyqueue webhooks create https://example.com/hook --queue emails --storage jobs.db
    """
    with open_queue(storage, creates=True) as opened:
        click.echo(opened.create_webhook(url, events=events, queues=queues, secret=secret).id)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--url", help="Where it is told from now on.")
@_events
@_queues
@_secret
@click.option("--active/--stopped", "is_active", default=None, help="Start it again after failures, or stop it.")
@storage_option
@reports_errors
def edit(
    webhook_id: str,
    url: str | None,
    events: tuple[str, ...],
    queues: tuple[str, ...],
    secret: str | None,
    is_active: bool | None,
    storage: str,
) -> None:
    """Change what is given of the webhook ID.

    Example: pyqueue webhooks edit 4e5f… --active --storage jobs.db
    """
    with open_queue(storage) as opened:
        opened.edit_webhook(
            webhook_id, url=url, events=events or None, queues=queues or None, secret=secret, is_active=is_active
        )


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@storage_option
@reports_errors
def delete(webhook_id: str, storage: str) -> None:
    """Remove the webhook ID, with whatever was still to be delivered to it.

    Example: pyqueue webhooks delete 4e5f… --storage jobs.db
    """
    with open_queue(storage) as opened:
        opened.delete_webhook(webhook_id)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@storage_option
@reports_errors
def test(webhook_id: str, storage: str) -> None:
    """Send the webhook ID an event webhook.test; prints the id of the job that does.

    Example: pyqueue webhooks test 4e5f… --storage jobs.db
    """
    with open_queue(storage) as opened:
        click.echo(opened.ping_webhook(webhook_id))
