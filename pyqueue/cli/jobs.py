"""Commands on jobs: push, inspect, jobs, dlq, retry, cancel, delete."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from pyqueue.cli.door import Place, place_options, segment
from pyqueue.cli.output import print_facts, print_json, print_table
from pyqueue.cli.storage import json_option, reports_errors
from pyqueue.core.errors import ValidationError
from pyqueue.core.follows import ParentFailure
from pyqueue.core.states import JobState
from pyqueue.core.uniqueness import UniqueMode

# Every option of a job as a flag: (option, type, help). `metadata` is JSON, repeated flags make a list.
_FLAGS: tuple[tuple[str, Any, str], ...] = (
    ("priority", int, "Higher is pulled first."),
    ("delay_ms", int, "Not to be pulled before this much later."),
    ("run_at", str, "The same as a moment with a time zone: 2030-01-31T08:00:00+01:00."),
    ("max_attempts", int, "Total tries."),
    ("backoff", click.Choice(["fixed", "linear", "exponential"]), "How the waits between tries grow."),
    ("backoff_delay_ms", int, "The first wait between tries."),
    ("backoff_jitter", bool, "Draw each wait from its upper half."),
    ("ttl_ms", int, "Cancel the job if it has not started after this."),
    ("timeout_ms", int, "Fail a run that takes longer."),
    ("unique_key", str, "At most one live job of the queue holds it."),
    ("unique_mode", click.Choice([each.value for each in UniqueMode]), "What to do when the key is held."),
    ("unique_for_ms", int, "Hold the key this long, also when the job has completed."),
    ("unique_states", list, "A state in which another job counts; may be given several times."),
    ("tags", list, "A tag; may be given several times."),
    ("group_id", str, "The groups of a queue take turns."),
    ("limit_key", str, "Held by the limits of the queue for this key."),
    ("lifo", bool, "Newest first."),
    ("remove_on_complete", bool, "Remove the job when it completes."),
    ("remove_on_fail", bool, "Remove the job when it becomes a dead letter."),
    ("custom_id", str, "An id of your own, to find the job by."),
    ("metadata", str, "Any JSON, kept with the job."),
    ("depends_on", list, "The id of a job that must complete first; may be given several times."),
    (
        "on_parent_failure",
        click.Choice([each.value for each in ParentFailure]),
        "What becomes of it when one of those fails.",
    ),
    ("flow_id", str, "The flow that the job belongs to."),
)


def _job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option, kind, text in reversed(_FLAGS):
        name = "--" + option.replace("_", "-")
        if kind is bool:
            command = click.option(name, option, is_flag=True, default=None, help=text)(command)
        elif kind is list:
            single = {"tags": "--tag", "unique_states": "--unique-state"}.get(option, name)
            command = click.option(single, option, multiple=True, help=text)(command)
        else:
            command = click.option(name, option, type=kind, help=text)(command)
    return command


@click.command()
@click.argument("queue")
@click.argument("name")
@click.option("--data", default="{}", show_default=True, help="The payload as JSON; - reads it from stdin.")
@_job_options
@reports_errors
@place_options
def push(queue: str, name: str, data: str, place: Place, **flags: Any) -> None:
    """Store a job called NAME in QUEUE, and print its id.

    Example: pyqueue push emails send-welcome --data '{"to": "user@a.com"}' --storage jobs.db
    """
    payload = _json(sys.stdin.read() if data == "-" else data, "--data")
    options: Any = {option: value for option, value in flags.items() if value not in (None, ())}
    if "metadata" in options:
        options["metadata"] = _json(options["metadata"], "--metadata")
    if "run_at" in options:
        options["run_at"] = _moment(options["run_at"]).isoformat()
    body = {"name": name, "data": payload, "options": options}
    with place.open(creates=True) as door:
        click.echo(door.ask("POST", f"/queues/{segment(queue)}/jobs", body=body)["id"])


def _json(text: str, flag: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValidationError(f'{flag} is not JSON ({error}); expected such as \'{{"to": "user@a.com"}}\'.') from None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValidationError(f"--run-at {text!r}; expected such as 2030-01-31T08:00:00+01:00.") from None


@click.command()
@click.argument("job_id", metavar="ID")
@json_option
@reports_errors
@place_options
def inspect(job_id: str, place: Place, as_json: bool) -> None:
    """Show a job with its attempts and logs.

    Example: pyqueue inspect 0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e --storage jobs.db
    """
    with place.open() as door:
        job = door.ask("GET", f"/jobs/{segment(job_id)}")["job"]
        attempts = door.ask("GET", f"/jobs/{segment(job_id)}/attempts")["attempts"]
    if as_json:
        return print_json([job | {"attempts": attempts}])
    return print_facts(_facts(job, attempts))


def _facts(job: dict[str, Any], attempts: list[dict[str, Any]]) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = []
    for key, value in job.items():
        if key in ("data", "result", "metadata") and value is not None:
            facts.append((key, json.dumps(value, indent=2, ensure_ascii=False)))
        elif key not in ("logs", "last_error"):
            facts.append((key, ", ".join(value) if isinstance(value, list) else value))
    facts += [(f"failed run {each['number']}", f"{each['failed_at']}\n{each['error']}") for each in attempts]
    facts += [(f"log {entry['timestamp']}", entry["message"]) for entry in job["logs"]]
    return facts


def _page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    with_cursor = click.option("--cursor", help="Go on after this job: the cursor printed by the page before.")(command)
    return click.option("--limit", default=50, show_default=True, help="At most so many, 1 to 1,000.")(with_cursor)


@click.command("jobs")
@click.option("--queue", help="Only jobs of this queue.")
@click.option("--state", type=click.Choice([each.value for each in JobState]), help="Only jobs in this state.")
@click.option("--name", help="Only jobs of this name.")
@click.option("--tag", help="Only jobs with this tag.")
@click.option("--flow-id", help="Only jobs of this flow.")
@click.option("--custom-id", help="Only jobs with this id of yours.")
@_page_options
@json_option
@reports_errors
@place_options
def list_jobs(place: Place, as_json: bool, **filters: Any) -> None:
    """List jobs, newest first.

    Example: pyqueue jobs --queue emails --state active --storage jobs.db
    """
    _print_page(place, as_json, filters)


@click.command("dlq")
@click.argument("queue", required=False)
@click.option("--name", help="Only jobs of this name.")
@_page_options
@json_option
@reports_errors
@place_options
def dead_letters(place: Place, as_json: bool, **filters: Any) -> None:
    """List the dead letters, newest first: jobs that have used up their attempts.

    Send them round again with `retry --dlq QUEUE`, or some of them with `bulk`.

    Example: pyqueue dlq emails --storage jobs.db
    """
    _print_page(place, as_json, {**filters, "state": JobState.DLQ.value})


def _print_page(place: Place, as_json: bool, filters: dict[str, Any]) -> None:
    with place.open() as door:
        page = door.ask("GET", "/jobs", query=filters)
    if as_json:
        print_json(page["jobs"])
    else:
        columns = ["id", "queue", "name", "state", "attempt", "created", "error"]
        print_table(columns, [_line(job) for job in page["jobs"]])
    if page["next_cursor"] is not None:
        click.echo(f"more: --cursor {page['next_cursor']}", err=True)


def _line(job: dict[str, Any]) -> tuple[object, ...]:
    error = (job["last_error"] or "").strip().splitlines()
    attempt = f"{job['attempt']}/{job['max_attempts']}"
    shown = (job[key] for key in ("id", "queue", "name", "state"))
    return (*shown, attempt, job["created_at"], error[-1] if error else "")


@click.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--dlq", metavar="QUEUE", help="Retry all dead letters of this queue.")
@reports_errors
@place_options
def retry(job_ids: tuple[str, ...], dlq: str | None, place: Place) -> None:
    """Send dead or cancelled jobs round again. Prints how many with --dlq.

    Example: pyqueue retry --dlq emails --storage jobs.db
    """
    if bool(job_ids) == bool(dlq):
        raise ValidationError("retry needs ids or --dlq QUEUE, and not both.")
    with place.open() as door:
        if dlq:
            return click.echo(door.ask("POST", f"/queues/{segment(dlq)}/dlq/retry")["retried"])
        for job_id in job_ids:
            door.ask("POST", f"/jobs/{segment(job_id)}/retry")
    return None


@click.command()
@click.argument("job_id", metavar="ID")
@reports_errors
@place_options
def cancel(job_id: str, place: Place) -> None:
    """Withdraw a job; ask the worker of one that runs to stop. Prints its state.

    Example: pyqueue cancel 0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e --storage jobs.db
    """
    with place.open() as door:
        state = door.ask("POST", f"/jobs/{segment(job_id)}/cancel", body={"running": True})["state"]
    click.echo(state)
    if state == JobState.ACTIVE:
        click.echo("it runs; its worker is told at the next heartbeat", err=True)


@click.command()
@click.argument("job_id", metavar="ID")
@reports_errors
@place_options
def delete(job_id: str, place: Place) -> None:
    """Remove a job that is not running, with its attempts and logs.

    Example: pyqueue delete 0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e --storage jobs.db
    """
    with place.open() as door:
        door.ask("DELETE", f"/jobs/{segment(job_id)}")
