"""A schedule, parsed: timing, job and policies checked when it is made, not when it fires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pyqueue.core import limits, validate
from pyqueue.core.clock import from_datetime
from pyqueue.core.errors import ValidationError
from pyqueue.core.job import JobOptions
from pyqueue.core.options import job_of_json
from pyqueue.core.schedule import Definition, Misfire, Overlap, Schedule
from pyqueue.core.timetable import zone_of
from pyqueue.core.validate import integer, shown


def schedule_name(name: object) -> str:
    """1–256 bytes of text."""
    return validate.text(name, "schedule name", limits.SCHEDULE_NAME_BYTES_MAX)


def definition_of(queue: object, job_name: object, job_data: Any, options: Mapping[str, Any]) -> Definition:
    """Checks a schedule: `options` are those of `ScheduleOptions`.

    Raises:
        ValidationError: something does not fit; nothing was stored.
    """
    validate.known_keys(options, _RULES, "schedule option")
    values = {key: rule(options[key], key) for key, rule in _RULES.items() if options.get(key) is not None}
    if ("cron_expr" in values) == ("every_ms" in values):
        given = "both" if "cron_expr" in values else "neither"
        raise ValidationError(f"{given} of cron_expr and every_ms given; expected exactly one: cron_expr or every_ms.")
    if "timezone" in values and "every_ms" in values:
        raise ValidationError("timezone was given with every_ms; an interval is the same in all zones. Leave it out.")
    definition = Definition(
        queue=validate.queue_name(queue),
        job_name=validate.job_name(job_name),
        job_data_json=validate.json_text(job_data, "payload (job_data)", limits.DATA_BYTES_MAX),
        job_options_json=values.get("job_options"),
        cron_expr=values.get("cron_expr"),
        every_ms=values.get("every_ms"),
        timezone=values.get("timezone"),
        max_executions=values.get("max_executions"),
        start_us=values.get("start_at"),
        end_us=values.get("end_at"),
        misfire=values.get("misfire", Misfire.RUN_ONCE.value),
        backfill_max=values.get("backfill_max", limits.BACKFILL_DEFAULT),
        overlap=values.get("overlap", Overlap.ALLOW.value),
        jitter_ms=values.get("jitter_ms", 0),
    )
    if None not in (definition.start_us, definition.end_us) and definition.end_us < definition.start_us:  # type: ignore[operator]
        raise ValidationError("end_at is before start_at; expected a time after it.")
    return definition


def edited(schedule: Schedule, changes: Mapping[str, Any]) -> Definition:
    """The definition of a schedule with some changes; a new kind of timing takes the place of the other."""
    values: dict[str, Any] = {
        "cron_expr": schedule.cron_expr,
        "every_ms": schedule.every_ms,
        "timezone": schedule.timezone,
        "job_options": schedule.job_options,
        "max_executions": schedule.max_executions,
        "start_at": schedule.start_at,
        "end_at": schedule.end_at,
        "misfire": schedule.misfire,
        "backfill_max": schedule.backfill_max,
        "overlap": schedule.overlap,
        "jitter_ms": schedule.jitter_ms,
    }
    validate.known_keys(changes, [*values, "queue", "job_name", "job_data"], "schedule option")
    if changes.get("cron_expr") is not None and "every_ms" not in changes:
        values["every_ms"] = None
    if changes.get("every_ms") is not None and "cron_expr" not in changes:
        values["cron_expr"] = values["timezone"] = None
    values |= changes
    job_data = values.pop("job_data") if "job_data" in values else schedule.job_data
    return definition_of(
        values.pop("queue", schedule.queue), values.pop("job_name", schedule.job_name), job_data, values
    )


def _cron(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"Invalid cron expression {shown(value)}; expected text such as '*/5 * * * *'.")
    from pyqueue.core.cron import parse

    parse(value)
    return value


def _zone(value: object, what: str) -> str:
    zone_of(validate.text(value, what, limits.LABEL_BYTES_MAX))
    return str(value)


def _job_options(value: object, what: str) -> str:
    if not isinstance(value, Mapping):
        raise ValidationError(f"{what} {shown(value)}; expected a mapping such as {{'max_attempts': 5}}.")
    given: JobOptions = {key: option for key, option in value.items() if option is not None}  # type: ignore[assignment]
    if "run_at" in given:
        raise ValidationError("job_options has run_at, which would be the same for every job; use delay_ms.")
    job_of_json("checked", "null", given)
    return validate.json_text(given, what, limits.DATA_BYTES_MAX)


def _moment(value: object, what: str) -> int:
    if isinstance(value, datetime) and value.tzinfo is not None and 1970 < value.year < 2108:
        return from_datetime(value)
    raise ValidationError(f"{what} {shown(value)}; expected a datetime with a time zone, from 1971 to 2107.")


def _one_of(kind: type[StrEnum]) -> Callable[[object, str], str]:
    def check(value: object, what: str) -> str:
        try:
            return kind(value).value  # type: ignore[arg-type]  # anything may be asked; a stranger is refused below
        except ValueError:
            raise ValidationError(f"{what} {shown(value)}; expected one of: {', '.join(kind)}.") from None

    return check


_RULES: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "cron_expr": _cron,
    "every_ms": lambda value, what: integer(value, what, 1, limits.DURATION_MS_MAX),
    "timezone": _zone,
    "job_options": _job_options,
    "max_executions": lambda value, what: integer(value, what, 1, 2**63 - 1),
    "start_at": _moment,
    "end_at": _moment,
    "misfire": _one_of(Misfire),
    "backfill_max": lambda value, what: integer(value, what, 1, limits.BACKFILL_MAX),
    "overlap": _one_of(Overlap),
    "jitter_ms": lambda value, what: integer(value, what, 0, limits.DURATION_MS_MAX),
}
