"""Commands on limits: list, set, clear."""

from __future__ import annotations

from typing import Any

import click

from pyqueue.cli.door import Place, place_options, queue_segment
from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, reports_errors
from pyqueue.core.errors import ValidationError
from pyqueue.core.quota import EACH_KEY

_KEY_HELP = 'The limit of the jobs with this limit key; "*" is that of each key by itself.'


@click.group()
def limits() -> None:
    """List, set and clear how many jobs of a queue run at once, begin, or are pushed.

    Example: pyqueue limits set import --concurrency 3 --storage jobs.db
    """


@limits.command("list")
@click.argument("queue", required=False)
@json_option
@reports_errors
@place_options
def list_limits(queue: str | None, place: Place, as_json: bool) -> None:
    """Show the limits of QUEUE, or all.

    Example: pyqueue limits list --storage jobs.db
    """
    with place.open() as door:
        found = door.ask("GET", "/limits" if queue is None else f"/queues/{queue_segment(queue)}/limits")["limits"]
    if as_json:
        return print_json(found)
    if not found:
        return click.echo("no limits", err=True)
    return print_table(["queue", "of", "at once", "rate", "burst"], map(_line, found))


def _line(limit: dict[str, Any]) -> tuple[object, ...]:
    of = "pushes" if limit["limits_pushes"] else "all jobs" if limit["key"] is None else f"key {limit['key']}"
    if limit["key"] == EACH_KEY:
        of = "each key"
    rate = "" if limit["rate"] is None else f"{limit['rate']:g} per {limit['per_ms']} ms"
    return limit["queue"], of, limit["concurrency"], rate, limit["burst"]


@limits.command("set")
@click.argument("queue")
@click.option("--concurrency", type=int, help="So many jobs at once.")
@click.option("--rate", type=float, help="So many jobs begin in --per-ms.")
@click.option("--per-ms", type=int, default=1_000, show_default=True, help="The time of the rate.")
@click.option("--burst", type=int, help="So many at most begin together; default: the rate, rounded up.")
@click.option("--key", help=_KEY_HELP)
@click.option("--pushes", is_flag=True, help="Limit the pushes to the queue, by --rate.")
@reports_errors
@place_options
def set_limit(
    queue: str,
    concurrency: int | None,
    rate: float | None,
    per_ms: int,
    burst: int | None,
    key: str | None,
    pushes: bool,
    place: Place,
) -> None:
    """Set a limit of QUEUE, in place of the one there was.

    Example: pyqueue limits set import --key '*' --concurrency 1 --storage jobs.db
    """
    if pushes and (concurrency is not None or key is not None or rate is None):
        raise ValidationError("--pushes takes a --rate, and neither --concurrency nor --key.")
    body: dict[str, Any] = {"rate": rate, "per_ms": per_ms, "burst": burst}
    with place.open(creates=True) as door:
        if pushes:
            door.ask("PUT", f"/queues/{queue_segment(queue)}/push-limit", body=body)
        else:
            body |= {"key": key, "concurrency": concurrency}
            door.ask("PUT", f"/queues/{queue_segment(queue)}/limits", body=body)


@limits.command()
@click.argument("queue")
@click.option("--key", help=_KEY_HELP)
@click.option("--pushes", is_flag=True, help="Clear the limit of the pushes.")
@reports_errors
@place_options
def clear(queue: str, key: str | None, pushes: bool, place: Place) -> None:
    """Take a limit of QUEUE away.

    Example: pyqueue limits clear import --key '*' --storage jobs.db
    """
    if pushes and key is not None:
        raise ValidationError("--pushes and --key were given; expected one of them.")
    path = f"/queues/{queue_segment(queue)}/{'push-limit' if pushes else 'limits'}"
    with place.open() as door:
        was_there = door.ask("DELETE", path, query={"key": key})["cleared"]
    if not was_there:
        click.echo("there was no such limit", err=True)
