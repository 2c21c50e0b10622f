"""The commands of the TCP protocol: one line of JSON each, parsed once into a typed value.

`data`, `result` and `metadata` stay as the text they came in (`msgspec.Raw`). Keys that are not here
are ignored, as the wire format asks; null is the same as leaving a key out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from pyqueue.core import limits
from pyqueue.web.bodies import Options

NULL: Final = Raw(b"null")
_NO_DATA: Final = Raw(b"{}")

Count = Annotated[int, Meta(ge=0)]
Lease = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Duration = Annotated[int, Meta(ge=0, le=limits.DURATION_MS_MAX)]
LeaseMs = Annotated[int, Meta(ge=limits.LEASE_MS_MIN, le=limits.LEASE_MS_MAX)]


class JobWithOptions(Options, kw_only=True):
    """A job to push: options beside name and data, or under `options`, which holds where both are given."""

    name: str
    data: Raw = _NO_DATA
    options: Options | None = None

    def merged(self) -> dict[str, Any]:
        """The options of both places."""
        return given(self) if self.options is None else given(self) | given(self.options)


def given(options: Options) -> dict[str, Any]:
    """The options that are there."""
    values = {option: getattr(options, option) for option in Options.__struct_fields__}
    return {
        option: value for option, value in values.items() if value is not None and value is not UNSET and value != NULL
    }


class PlainJob(Struct, gc=False, forbid_unknown_fields=True):
    """A job without options, as most are."""

    name: str
    data: Raw = _NO_DATA


class Command(Struct, tag_field="cmd"):
    """One line."""


class Auth(Command, tag="auth"):
    token: str


class Ping(Command, tag="ping"):
    """Answered, and that is all."""


class PlainPush(Command, tag="push", gc=False, forbid_unknown_fields=True):
    """A push without options. Whatever does not fit here is parsed again, as `Push`."""

    queue: str
    name: str
    data: Raw = _NO_DATA


class PlainPushBatch(Command, tag="push_batch", forbid_unknown_fields=True):
    queue: str
    jobs: list[PlainJob]


class Push(JobWithOptions, tag_field="cmd", tag="push", kw_only=True):
    queue: str


class PushBatch(Command, tag="push_batch"):
    queue: str
    jobs: list[JobWithOptions]


class Pull(Command, tag="pull"):
    queue: str
    count: Count | None = None
    wait_ms: Annotated[int, Meta(ge=0, le=limits.WAIT_MS_MAX)] | None = None
    lease_ms: LeaseMs | None = None
    worker_id: str | None = None
    fields: list[str] | None = None


class AckItem(Struct, gc=False):
    id: str
    result: Raw = NULL
    lease: Lease | None = None


class Ack(Command, tag="ack", gc=False):
    id: str
    result: Raw = NULL
    lease: Lease | None = None


class AckBatch(Command, tag="ack_batch"):
    """`items` with a result each, or just `ids`; `items` holds if both are given."""

    items: list[AckItem] | None = None
    ids: list[str] | None = None


class FailItem(Struct):
    id: str
    error: str | None = None
    lease: Lease | None = None
    retry: bool = True
    delay_ms: Duration | None = None
    discard: bool = False


class Fail(FailItem, tag_field="cmd", tag="fail"):
    pass


class FailBatch(Command, tag="fail_batch"):
    items: list[FailItem]


class Release(Command, tag="release"):
    id: str
    delay_ms: Duration = 0
    lease: Lease | None = None


class Cancel(Command, tag="cancel"):
    id: str
    running: bool = False


class Beat(Struct):
    id: str
    lease: Lease | None = None


class Heartbeat(Command, tag="heartbeat"):
    id: str
    lease: Lease | None = None
    lease_ms: LeaseMs | None = None


class HeartbeatBatch(Command, tag="heartbeat_batch"):
    items: list[Beat]
    lease_ms: LeaseMs | None = None


class Progress(Command, tag="progress"):
    id: str
    progress: Count
    message: str | None = None
    lease: Lease | None = None


class Stats(Command, tag="stats"):
    queue: str


class Get(Command, tag="get"):
    id: str
    fields: list[str] | None = None


class ScheduleCreate(Command, tag="schedule_create"):
    """A schedule that fires first at the next housekeeping, as RustQueue's do, unless `fires_at_once` is false."""

    name: str
    queue: str
    job_name: str
    job_data: Raw = _NO_DATA
    job_options: Options | None = None
    cron_expr: str | None = None
    every_ms: int | None = None
    timezone: str | None = None
    max_executions: int | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    misfire: str | None = None
    backfill_max: int | None = None
    overlap: str | None = None
    jitter_ms: int | None = None
    fires_at_once: bool = True


class ScheduleList(Command, tag="schedule_list"):
    """Paused ones too."""


class ScheduleGet(Command, tag="schedule_get"):
    name: str


class ScheduleDelete(Command, tag="schedule_delete"):
    name: str


class SchedulePause(Command, tag="schedule_pause"):
    name: str


class ScheduleResume(Command, tag="schedule_resume"):
    name: str


class QueuePause(Command, tag="queue_pause"):
    queue: str


class QueueResume(Command, tag="queue_resume"):
    queue: str


_OTHERS = (
    Auth | Ping | Pull | Ack | AckBatch | Fail | FailBatch | Release | Cancel | Heartbeat | HeartbeatBatch
    | Progress | Stats | Get | QueuePause | QueueResume
    | ScheduleCreate | ScheduleList | ScheduleGet | ScheduleDelete | SchedulePause | ScheduleResume
)  # fmt: skip
_decode_plain: Final = msgspec.json.Decoder(PlainPush | PlainPushBatch | _OTHERS).decode
_decode: Final = msgspec.json.Decoder(Push | PushBatch | _OTHERS).decode
_decode_any: Final = msgspec.json.Decoder().decode


class _Name(Struct):
    cmd: Any | UnsetType = UNSET


class Refusal(Exception):
    """A line that is no command, or one that may not be done: a code and a message for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse(line: bytes) -> Any:
    """The command of a line.

    Raises:
        Refusal: PARSE_ERROR, UNKNOWN_COMMAND or VALIDATION_ERROR, as the wire format has them.
    """
    try:
        return _decode_plain(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(line, error) from error


def _refusal(line: bytes, error: Exception) -> Refusal:
    try:
        _decode_any(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as trouble:
        told = "it is empty" if not line.strip() else str(trouble)
        return Refusal("PARSE_ERROR", f'the line is not JSON ({told}); expected an object such as {{"cmd":"ping"}}.')
    try:
        name = msgspec.json.decode(line, type=_Name).cmd
    except msgspec.ValidationError:
        return Refusal("VALIDATION_ERROR", 'the line is JSON but no object; expected such as {"cmd":"ping"}.')
    if not isinstance(name, str):
        return Refusal("VALIDATION_ERROR", f"`cmd` is no string; expected one of: {', '.join(COMMANDS)}.")
    if name not in COMMANDS:
        shown = name if len(name) <= 80 else name[:77] + "..."
        return Refusal("UNKNOWN_COMMAND", f"unknown command {shown!r}; expected one of: {', '.join(COMMANDS)}.")
    return Refusal("VALIDATION_ERROR", f"{name}: {str(error).rstrip('.')}.")


COMMANDS: Final = sorted(str(each.__struct_config__.tag) for each in (Push, PushBatch, *_OTHERS.__args__))
