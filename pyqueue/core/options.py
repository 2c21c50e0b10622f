"""A push, parsed: names, JSON and options checked, ready to be stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from pyqueue.core import ids, limits, validate
from pyqueue.core.backoff import Backoff
from pyqueue.core.clock import from_datetime
from pyqueue.core.errors import ValidationError
from pyqueue.core.follows import ParentFailure
from pyqueue.core.job import NO_EXTRAS, Extras, JobOptions
from pyqueue.core.quota import EACH_KEY
from pyqueue.core.states import ACTIVE, CODES, STATES, JobState
from pyqueue.core.uniqueness import REPLACING, Unique, UniqueMode, states_that_count
from pyqueue.core.validate import boolean, integer, shown, text, texts
from pyqueue.core.webhook import QUEUE as DELIVERIES

_encode: Final = msgspec.json.encode


class Inner(NamedTuple):
    """A parent that is pushed together with its child: its place among the jobs, and what its result is bound to."""

    place: int
    binds: str | None


class Settings(msgspec.Struct, frozen=True):
    """Every option but the priority, validated; times in microseconds, JSON as text."""

    max_attempts: int = 3
    backoff: int = Backoff.EXPONENTIAL.code
    backoff_delay_ms: int = 1_000
    timeout_ms: int | None = None
    delay_us: int | None = None  # from the push
    run_us: int | None = None  # a moment
    unique_key: str | None = None
    unique: Unique | None = None  # None: refused while a live job holds the key
    group_id: str | None = None
    limit_key: str | None = None
    flow_id: str | None = None
    custom_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata_json: str | None = None
    depends_on: tuple[str, ...] = ()
    has_follow_ups: bool = False
    extras: Extras = NO_EXTRAS
    # What `dag.resolve` and builders of flows add.
    binds: Mapping[str, str] | None = None  # by entry of depends_on: the arguments that take its result
    inner: tuple[Inner, ...] = ()
    has_children: bool = False

    @property
    def policy(self) -> int:
        """What becomes of it when a parent ends without completing."""
        return self.extras.policy

    @property
    def tags_json(self) -> str | None:
        return _encode(self.tags).decode() if self.tags else None

    @property
    def extras_json(self) -> str | None:
        return None if self.extras == NO_EXTRAS else _encode(self.extras).decode()


class NewJob(msgspec.Struct, frozen=True):
    """One job to store. `settings` is None for the plain case, which has a statement of its own."""

    name: str
    data_json: str
    priority: int = 0
    settings: Settings | None = None
    ref: str | None = None  # how others of the same push name it


def new_job(name: object, data: Any, options: Mapping[str, Any] | JobOptions) -> NewJob:
    """Checks one push.

    Raises:
        ValidationError: a name, the payload or an option does not fit; nothing was stored.
    """
    return job_of_json(
        validate.job_name(name), validate.json_text(data, "payload (data)", limits.DATA_BYTES_MAX), options
    )


def job_of_json(name: str, data_json: str, options: Mapping[str, Any] | JobOptions) -> NewJob:
    """A job whose name and data were checked before.

    Raises:
        ValidationError: an option does not fit.
    """
    if not options:
        return NewJob(name, data_json)
    values = _parse(options)
    priority = values.pop("priority", 0)
    return NewJob(name, data_json, priority, _settings(values) if values else None)


def job_of_mapping(mapping: object) -> NewJob:
    """One element of `push_many`: `name`, `data`, `ref` and options, side by side."""
    # dict by name: the abstract check costs as much as all the rest.
    if type(mapping) is not dict and not isinstance(mapping, Mapping):
        raise ValidationError(
            f"push_many got {shown(mapping)}; expected mappings such as {{'name': 'send', 'data': {{…}}}}."
        )
    if "name" not in mapping:
        raise ValidationError(
            f"push_many got {shown(dict(mapping))} without a name; expected a 'name' in each mapping."
        )
    if len(mapping) == 1 + ("data" in mapping):
        data_json = validate.json_text(mapping.get("data"), "payload (data)", limits.DATA_BYTES_MAX)
        return NewJob(validate.job_name(mapping["name"]), data_json)
    options = {key: value for key, value in mapping.items() if key not in ("name", "data", "ref")}
    job = new_job(mapping["name"], mapping.get("data"), options)
    return job if mapping.get("ref") is None else msgspec.structs.replace(job, ref=ref_of(mapping["ref"]))


def ref_of(value: object) -> str:
    """A name for a job within one push; not one that could be taken for an id."""
    if not ids.looks_like_id(name := text(value, "ref", limits.LABEL_BYTES_MAX)):
        return name
    raise ValidationError(f"ref {shown(value)} looks like the id of a job; expected another name, such as 'extract'.")


def with_metadata(job: NewJob, metadata: Mapping[str, Any]) -> NewJob:
    """The job with more metadata; its own goes first, and stays alone if it is no JSON object.

    Raises:
        ValidationError: together they are too large.
    """
    settings = job.settings or Settings()
    own = {} if settings.metadata_json is None else msgspec.json.decode(settings.metadata_json)
    if not isinstance(own, dict):
        return job
    both = _metadata({**metadata, **own}, "metadata")
    return msgspec.structs.replace(job, settings=msgspec.structs.replace(settings, metadata_json=both))


def _parse(options: Mapping[str, Any] | JobOptions) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option, value in options.items():
        rule = RULES.get(option)
        if rule is None:
            validate.known_keys([option], RULES, "job option")
        elif value is not None:
            values[option] = rule(value, option)
    return values


def _settings(values: dict[str, Any]) -> Settings:
    if "run_at" in values and "delay_ms" in values:
        raise ValidationError("both delay_ms and run_at were given; expected one of them.")
    if values.get("lifo") and "group_id" in values:
        raise ValidationError(
            "both lifo and group_id were given; a group takes turns with others in the order of pushing. Choose one."
        )
    unique = _unique(values)
    extras = Extras(**{field: values.pop(field) for field in Extras.__struct_fields__ if field in values})
    delay_ms = values.pop("delay_ms", None)
    run_at = values.pop("run_at", None)
    if isinstance(run_at, timedelta):
        delay_ms, run_at = run_at // timedelta(milliseconds=1), None
    metadata = values.pop("metadata", None)
    follow_ups = () if metadata is None else follow_ups_in(metadata)
    for follow_up in follow_ups:
        new_job(follow_up.name, follow_up.data, follow_up.options)  # What cannot be pushed then is refused now.
    return Settings(
        delay_us=None if delay_ms is None else delay_ms * 1_000,
        run_us=None if run_at is None else from_datetime(run_at),
        metadata_json=metadata,
        has_follow_ups=bool(follow_ups),
        unique=unique,
        extras=extras,
        **values,
    )


def _unique(values: dict[str, Any]) -> Unique | None:
    """The options about the unique key, taken out of `values`."""
    mode = values.pop("unique_mode", UniqueMode.REJECT)
    for_ms, states = values.pop("unique_for_ms", None), values.pop("unique_states", None)
    if mode is UniqueMode.REJECT and for_ms is None and states is None:
        return None
    if "unique_key" not in values:
        raise ValidationError("unique_mode, unique_for_ms or unique_states without a unique_key; expected one with it.")
    if mode is UniqueMode.THROTTLE and for_ms is None:
        raise ValidationError("unique_mode 'throttle' without unique_for_ms; expected the period.")
    if mode is UniqueMode.DEBOUNCE and not {"delay_ms", "run_at"} & values.keys():
        raise ValidationError("unique_mode 'debounce' without delay_ms; expected the delay that begins anew.")
    if mode is UniqueMode.REPLACE and for_ms is not None:
        raise ValidationError("unique_for_ms with unique_mode 'replace', which knows no period; leave it out.")
    if mode in REPLACING and "depends_on" in values:
        raise ValidationError(f"depends_on with unique_mode {mode.value!r}: a job that is replaced keeps its parents.")
    if states is None:
        states = states_that_count(mode, has_period=for_ms is not None)
    elif max(states) > ACTIVE and for_ms is None:
        raise ValidationError(
            "unique_states names a finished state without unique_for_ms; expected how long it counts."
        )
    return Unique(mode, None if for_ms is None else for_ms * 1_000, states)


class FollowUp(NamedTuple):
    """A job that another one names in its metadata, to be pushed when that one completes."""

    queue: str
    name: str
    data: Any
    options: dict[str, Any]
    flow_id: str | None


def follow_ups_in(metadata_json: str) -> tuple[FollowUp, ...]:
    """What the key `follow_ups` of some metadata names; none without that key.

    Raises:
        ValidationError: it is no list of follow-ups.
    """
    if '"follow_ups"' not in metadata_json:
        return ()
    metadata = msgspec.json.decode(metadata_json)
    found = metadata.get("follow_ups") if isinstance(metadata, dict) else None
    if found is None:
        return ()
    if not isinstance(found, list):
        raise ValidationError(
            f"metadata.follow_ups {shown(found)}; expected a list of {{'queue': …, 'name': …}}, with data, options "
            "and flow_id if wanted."
        )
    return tuple(map(_follow_up, found))


def _follow_up(entry: object) -> FollowUp:
    if not isinstance(entry, dict) or not entry.keys() >= {"queue", "name"}:
        raise ValidationError(f"metadata.follow_ups has {shown(entry)}; expected an object with a queue and a name.")
    if entry["queue"] == DELIVERIES:  # What is there is signed and sent, and not everyone who may push may do that.
        raise ValidationError(f"metadata.follow_ups names the queue {DELIVERIES!r}; expected one of your own.")
    validate.known_keys(entry, FollowUp._fields, "key of metadata.follow_ups")
    options, flow_id = entry.get("options"), entry.get("flow_id")
    if not isinstance(options, dict | None):
        raise ValidationError(f"options {shown(options)} of metadata.follow_ups; expected an object.")
    return FollowUp(
        validate.queue_name(entry["queue"]),
        validate.job_name(entry["name"]),
        entry.get("data"),
        options or {},
        None if flow_id is None else _label(flow_id, "flow_id of metadata.follow_ups"),
    )


def _duration(value: object, option: str) -> int:
    return integer(value, option, 0, limits.DURATION_MS_MAX)


def _run_at(value: object, option: str) -> datetime | timedelta:
    if isinstance(value, timedelta) and timedelta(0) <= value <= timedelta(milliseconds=limits.DURATION_MS_MAX):
        return value
    if isinstance(value, datetime) and value.tzinfo is not None and 1970 < value.year < 2108:
        return value
    raise ValidationError(
        f"{option} {shown(value)}; expected a timedelta ≥ 0 or a datetime with a time zone "
        "before 2108, such as datetime.now(timezone.utc) + timedelta(hours=1)."
    )


def _backoff(value: object, option: str) -> int:
    try:
        return Backoff(value).code  # type: ignore[arg-type]  # anything may be asked; a stranger is refused below
    except ValueError:
        raise ValidationError(f"{option} {shown(value)}; expected one of: {', '.join(Backoff)}.") from None


def _unique_key(value: object, option: str) -> str:
    return text(value, "Unique key (unique_key)", limits.UNIQUE_KEY_BYTES_MAX)


def _unique_mode(value: object, option: str) -> UniqueMode:
    try:
        return UniqueMode(value)  # type: ignore[arg-type]  # anything may be asked; a stranger is refused below
    except ValueError:
        raise ValidationError(f"{option} {shown(value)}; expected one of: {', '.join(UniqueMode)}.") from None


def _unique_states(value: object, option: str) -> tuple[int, ...]:
    names = texts(value, option, count_max=len(STATES), size_max=16)
    wrong = [name for name in names if name not in CODES]
    if wrong or not names:
        raise ValidationError(f"{option} {shown(value)}; expected a list of some of: {', '.join(STATES)}.")
    return tuple(CODES[JobState(name)] for name in names)


def _tags(value: object, option: str) -> tuple[str, ...]:
    return texts(value, option, count_max=limits.TAGS_MAX, size_max=limits.TAG_BYTES_MAX)


def _label(value: object, option: str) -> str:
    return text(value, option, limits.LABEL_BYTES_MAX)


def _limit_key(value: object, option: str) -> str:
    if value == EACH_KEY:
        raise ValidationError(f"{option} {EACH_KEY!r} stands for each key by itself; expected the name of one.")
    return _label(value, option)


def _metadata(value: object, option: str) -> str:
    return validate.json_text(value, option, limits.METADATA_BYTES_MAX)


def _on_parent_failure(value: object, option: str) -> ParentFailure:
    try:
        return ParentFailure(value)  # type: ignore[arg-type]  # anything may be asked; a stranger is refused below
    except ValueError:
        raise ValidationError(f"{option} {shown(value)}; expected one of: {', '.join(ParentFailure)}.") from None


def _parents(value: object, option: str) -> tuple[str, ...]:
    return texts(value, option, count_max=limits.PARENTS_MAX, size_max=limits.LABEL_BYTES_MAX)


RULES: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "priority": lambda value, option: integer(value, option, -limits.PRIORITY_MAX - 1, limits.PRIORITY_MAX),
    "delay_ms": _duration,
    "run_at": _run_at,
    "max_attempts": lambda value, option: integer(value, option, 0, limits.ATTEMPTS_MAX),
    "backoff": _backoff,
    "backoff_delay_ms": _duration,
    "backoff_jitter": boolean,
    "ttl_ms": _duration,
    "timeout_ms": lambda value, option: integer(value, option, 1, limits.DURATION_MS_MAX),
    "unique_key": _unique_key,
    "unique_mode": _unique_mode,
    "unique_for_ms": lambda value, option: integer(value, option, 1, limits.DURATION_MS_MAX),
    "unique_states": _unique_states,
    "tags": _tags,
    "group_id": _label,
    "limit_key": _limit_key,
    "lifo": boolean,
    "remove_on_complete": boolean,
    "remove_on_fail": boolean,
    "custom_id": _label,
    "metadata": _metadata,
    "depends_on": _parents,
    "on_parent_failure": _on_parent_failure,
    "flow_id": _label,
}
