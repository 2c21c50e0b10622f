"""Webhooks: who is told of what happens to jobs, by a request to a URL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from pyqueue.core import limits, validate
from pyqueue.core.clock import to_datetime
from pyqueue.core.errors import ValidationError
from pyqueue.core.validate import shown

# Deliveries are jobs of this queue, one for each webhook and event. It is told of to no webhook.
QUEUE: Final = "pyqueue.webhooks"

_URL_BYTES_MAX: Final = 2_048
_SECRET_BYTES_MAX: Final = 1_024
_QUEUES_MAX: Final = 100
DELIVERIES_SHOWN_MAX: Final = limits.LIST_LIMIT_MAX

# What is told where no events are named: what the stream of events tells by itself.
USUAL_EVENTS: Final = ("job_pushed", "job_completed", "job_failed", "job_cancelled")
# `job_dlq` is `job_failed` under the name that dead letters have; `job_progress` can be named and is not told yet.
EVENTS: Final = (
    *USUAL_EVENTS, "job_dlq", "job_progress", "job_started", "job_retrying", "job_released", "job_promoted",
    "job_retried", "job_deleted",
)  # fmt: skip


class Webhook(Struct, frozen=True, kw_only=True):
    """A registration. `since`: the position of the log behind which it is told; `failures`: deliveries in a row."""

    id: str
    url: str
    events: tuple[str, ...]
    queues: tuple[str, ...]
    secret: str | None
    is_active: bool
    since: int
    failures: int
    last_error: str | None
    created_us: int
    updated_us: int

    @property
    def created_at(self) -> datetime:
        return to_datetime(self.created_us)

    @property
    def updated_at(self) -> datetime:
        return to_datetime(self.updated_us)

    def wants(self, event: str, queue: str) -> bool:
        """Whether it is to be told of an event (`job_completed`) in a queue."""
        return event in (self.events or USUAL_EVENTS) and (not self.queues or queue in self.queues)

    def __repr__(self) -> str:
        return f"<Webhook {self.id}>"  # Neither secret nor URL, which may hold one.


class Target(Struct, frozen=True, kw_only=True):
    """What is registered: checked, None for what is to stay as it is."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    secret: str | None = None  # "" takes it away
    is_active: bool | None = None

    def __repr__(self) -> str:
        return "<Target>"


def target_of(url: Any, events: Any, queues: Any, secret: Any, is_active: Any = None) -> Target:
    """Checks what was given.

    Raises:
        ValidationError.
    """
    return Target(
        url=None if url is None else _url(url),
        events=None if events is None else event_names(events),
        queues=None if queues is None else _queues(queues),
        secret=None if secret is None else "" if secret == "" else validate.text(secret, "secret", _SECRET_BYTES_MAX),
        is_active=None if is_active is None else validate.boolean(is_active, "is_active"),
    )


def event_names(events: Sequence[str]) -> tuple[str, ...]:
    """Names of events, given as `job_completed` or `job.completed`, in the first form.

    Raises:
        ValidationError: one that does not exist.
    """
    given = validate.texts(events, "events", count_max=len(EVENTS) * 2, size_max=limits.LABEL_BYTES_MAX)
    names = tuple(dict.fromkeys(name.replace(".", "_") for name in given))
    for name in names:
        if name not in EVENTS:
            raise ValidationError(f"events names {shown(name)}; expected some of: {', '.join(EVENTS)}.")
    return names


def _queues(queues: Sequence[str]) -> tuple[str, ...]:
    names = validate.texts(queues, "queues", count_max=_QUEUES_MAX, size_max=limits.QUEUE_NAME_BYTES_MAX)
    return tuple(map(validate.queue_name, names))


def _url(url: object) -> str:
    """An absolute http or https URL of ASCII, without user and password.

    Raises:
        ValidationError.
    """
    from urllib.parse import urlsplit  # Who registers nothing need not wait for it.

    given = validate.text(url, "url", _URL_BYTES_MAX)
    try:
        parts = urlsplit(given)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if is_whole and given.isascii() and given.isprintable() and " " not in given and "@" not in parts.netloc:
        return given
    raise ValidationError("the url of a webhook is none; expected such as 'https://example.com/hook', without a user.")
