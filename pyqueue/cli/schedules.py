"""Commands on schedules: `pyqueue schedules list`, show, create, edit, pause, resume, trigger, delete."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

import click

from pyqueue.cli.door import Place, place_options, segment
from pyqueue.cli.output import print_facts, print_json, print_table
from pyqueue.cli.storage import json_option, reports_errors
from pyqueue.core.errors import ValidationError
from pyqueue.core.options import RULES
from pyqueue.core.schedule import Misfire, Overlap
from pyqueue.core.validate import known_keys


def _choice(kind: type[StrEnum]) -> click.Choice[str]:
    # By value: click takes the members of an enum by their names.
    return click.Choice([each.value for each in kind])


# Every option of a schedule as a flag: (option, flag, type, help).
_FLAGS: tuple[tuple[str, str, Any, str], ...] = (
    ("job_data", "--data", str, "The payload of each job, as JSON."),
    ("cron_expr", "--cron", str, "When: such as '*/5 * * * *'; six fields begin with seconds."),
    ("every_ms", "--every-ms", int, "When: an interval in milliseconds."),
    ("timezone", "--timezone", str, "An IANA time zone for --cron; UTC by default."),
    ("job_options", "--job-options", str, "Options of each job, as JSON: '{\"max_attempts\": 5}'."),
    ("max_executions", "--max-executions", int, "Jobs to push in all."),
    ("start_at", "--start-at", str, "Not before this time: 2030-01-31T08:00:00+01:00."),
    ("end_at", "--end-at", str, "Not after this time."),
    (
        "misfire",
        "--misfire",
        click.Choice([each.value for each in Misfire]),
        "What becomes of moments that were missed.",
    ),
    ("backfill_max", "--backfill-max", int, "How many of them, with --misfire backfill."),
    (
        "overlap",
        "--overlap",
        click.Choice([each.value for each in Overlap]),
        "What becomes of a moment while the job before runs.",
    ),
    ("jitter_ms", "--jitter-ms", int, "Each job may run up to this much later."),
)


def _schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option, flag, kind, text in reversed(_FLAGS):
        command = click.option(flag, option, type=kind, help=text)(command)
    return command


def _parsed(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as values of the API."""
    given = {option: value for option, value in flags.items() if value is not None}
    for option, parse in (("job_data", _json), ("job_options", _json), ("start_at", _moment), ("end_at", _moment)):
        if option in given:
            given[option] = parse(given[option], next(flag for name, flag, _, _ in _FLAGS if name == option))
    known_keys(given.get("job_options", ()), RULES, "job option")
    return given


def _json(text: str, flag: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValidationError(f"{flag} is not JSON ({error}); expected such as '{{\"to\": 1}}'.") from None


def _moment(text: str, flag: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise ValidationError(f"{flag} {text!r}; expected such as 2030-01-31T08:00:00+01:00.") from None


@click.group()
def schedules() -> None:
    """Rules that push jobs by themselves, at the times of a cron expression or at an interval.

    Example: pyqueue schedules list --storage jobs.db
    """


@schedules.command("list")
@json_option
@reports_errors
@place_options
def list_schedules(place: Place, as_json: bool) -> None:
    """List all schedules by name.

    Example: pyqueue schedules list --storage jobs.db
    """
    with place.open() as door:
        found = door.ask("GET", "/schedules")["schedules"]
    if as_json:
        return print_json(found)
    if not found:
        return click.echo("no schedules yet", err=True)
    return print_table(["name", "when", "queue", "job", "runs", "next", "state", "error"], map(_line, found))


def _line(schedule: dict[str, Any]) -> tuple[object, ...]:
    name, queue, job_name, count = (schedule[key] for key in ("name", "queue", "job_name", "execution_count"))
    error = schedule["last_error"] or ""
    return name, _when(schedule), queue, job_name, count, _next(schedule), _state(schedule), error


def _when(schedule: dict[str, Any]) -> str:
    if schedule["every_ms"] is not None:
        return f"every {schedule['every_ms']:,} ms"
    return f"{schedule['cron_expr']} ({schedule['timezone'] or 'UTC'})"


def _next(schedule: dict[str, Any]) -> str:
    return schedule["next_run_at"] or ("" if schedule["finished"] else "at once")


def _state(schedule: dict[str, Any]) -> str:
    return "finished" if schedule["finished"] else "paused" if schedule["paused"] else "on"


def _path(name: str) -> str:
    return f"/schedules/{segment(name)}"


@schedules.command()
@click.argument("name")
@json_option
@reports_errors
@place_options
def show(name: str, place: Place, as_json: bool) -> None:
    """Show a schedule, its next five runs and its last ones.

    Example: pyqueue schedules show nightly --storage jobs.db
    """
    with place.open() as door:
        found = door.ask("GET", _path(name))
        runs = door.ask("GET", f"{_path(name)}/runs")["runs"]
    schedule, upcoming = found["schedule"], found["next_runs"]
    if as_json:
        return print_json([schedule | {"next_runs": upcoming, "last_runs": runs}])
    facts: list[tuple[str, object]] = [("state", _state(schedule)), ("when", _when(schedule))]
    for key, value in schedule.items():
        if key in ("job_data", "job_options") and value is not None:
            facts.append((key, json.dumps(value, ensure_ascii=False)))
        elif key not in ("cron_expr", "every_ms", "timezone", "paused", "finished", "next_run_at"):
            facts.append((key, value))
    return print_facts([*facts, ("next runs", "\n".join(upcoming)), ("last runs", "\n".join(map(_run, runs)))])


def _run(run: dict[str, Any]) -> str:
    came_of_it = f"job {run['job_id']}" if run["error"] is None else run["error"]
    return f"{run['due_at']}  {came_of_it}{' (triggered)' if run['is_manual'] else ''}"


@schedules.command()
@click.option("--name", required=True, help="What the schedule is called.")
@click.option("--queue", required=True, help="Where its jobs go.")
@click.option("--job-name", required=True, help="What its jobs are called.")
@_schedule_options
@reports_errors
@place_options
def create(name: str, queue: str, job_name: str, place: Place, **flags: Any) -> None:
    """Make a schedule, or give one of that name another definition. Prints its next run.

    Example: pyqueue schedules create --name nightly --queue reports --job-name build --cron '30 2 * * *'
    """
    body = {"job_data": {}, "fires_at_once": False} | _parsed(flags)
    with place.open(creates=True) as door:
        made = door.ask("POST", "/schedules", body=body | {"name": name, "queue": queue, "job_name": job_name})
    click.echo(_next(made["schedule"]))


@schedules.command()
@click.argument("name")
@click.option("--queue", help="Where its jobs go.")
@click.option("--job-name", help="What its jobs are called.")
@_schedule_options
@click.option(
    "--clear", "cleared", multiple=True, metavar="OPTION", help="Back to the default: max_executions, end_at …"
)
@reports_errors
@place_options
def edit(name: str, place: Place, cleared: tuple[str, ...], **flags: Any) -> None:
    """Change what is given of a schedule, and leave the rest. Prints its next run.

    Example: pyqueue schedules edit nightly --cron '30 3 * * *' --clear end_at --storage jobs.db
    """
    known_keys(cleared, [option for option, *_ in _FLAGS], "schedule option")
    changes: Any = {**_parsed(flags), **dict.fromkeys(cleared)}
    if not changes:
        raise ValidationError("edit got nothing to change; expected options such as --cron '30 3 * * *'.")
    with place.open() as door:
        schedule = door.ask("PATCH", _path(name), body=changes)["schedule"]
    click.echo(_next(schedule))
    if schedule["origin"] == "code":
        click.echo("it was made in code: the next worker that starts changes it back", err=True)


@schedules.command()
@click.argument("name")
@reports_errors
@place_options
def pause(name: str, place: Place) -> None:
    """Let a schedule push no jobs until it is resumed.

    Example: pyqueue schedules pause nightly --storage jobs.db
    """
    with place.open() as door:
        door.ask("POST", f"{_path(name)}/pause")
    click.echo(f"{name} is paused", err=True)


@schedules.command()
@click.argument("name")
@reports_errors
@place_options
def resume(name: str, place: Place) -> None:
    """End the pause of a schedule.

    Example: pyqueue schedules resume nightly --storage jobs.db
    """
    with place.open() as door:
        door.ask("POST", f"{_path(name)}/resume")
        schedule = door.ask("GET", _path(name))["schedule"]
    click.echo(f"{name} is {'finished, and fires no more' if schedule['finished'] else 'on'}", err=True)


@schedules.command()
@click.argument("name")
@reports_errors
@place_options
def trigger(name: str, place: Place) -> None:
    """Push a job of a schedule now, beside its timing. Prints the job's id.

    Example: pyqueue schedules trigger nightly --storage jobs.db
    """
    with place.open() as door:
        click.echo(door.ask("POST", f"{_path(name)}/trigger")["id"])


@schedules.command()
@click.argument("name")
@reports_errors
@place_options
def delete(name: str, place: Place) -> None:
    """Remove a schedule; its jobs stay.

    Example: pyqueue schedules delete nightly --storage jobs.db
    """
    with place.open() as door:
        door.ask("GET", _path(name))  # The API deletes one that is not there without a word.
        door.ask("DELETE", _path(name))
