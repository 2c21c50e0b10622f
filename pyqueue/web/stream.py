"""What a follower of the events wants to see, and what the events are called on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs

from msgspec import Struct

from pyqueue.core.job import JobChange
from pyqueue.core.shapes import moment_text
from pyqueue.core.states import JobState
from pyqueue.core.transitions import Event
from pyqueue.core.validate import shown
from pyqueue.web import reach
from pyqueue.web.errors import Refusal
from pyqueue.web.request import About, Grant

# The four of the wire format; a follower who asks for nothing else gets these.
WIRE_EVENTS: Final = frozenset({"job.pushed", "job.completed", "job.failed", "job.cancelled"})
_NAMES: Final = {
    Event.PUSH: "job.pushed",
    Event.UNBLOCK: "job.pushed",  # again, as the wire format has it: now it can be pulled
    Event.PROMOTE: "job.promoted",
    Event.PULL: "job.started",
    Event.ACK: "job.completed",
    Event.RELEASE: "job.released",
    Event.RETRY: "job.retried",
    Event.DELETE: "job.deleted",
}
# What the others are called by what became of the job; a failed attempt with another to follow is `job.retrying`.
_BY_STATE: Final = {JobState.DLQ: "job.failed", JobState.CANCELLED: "job.cancelled"}
ALL_EVENTS: Final = frozenset({*_NAMES.values(), *_BY_STATE.values(), "job.retrying"})


def stream_name(change: JobChange) -> str:
    """The name of a change on the stream. `job.failed` means that the attempts are used up."""
    name = _NAMES.get(change.event)
    if change.event is Event.UNBLOCK and change.state is not JobState.WAITING:
        return "job.promoted"
    if name is not None and not (change.event is Event.RELEASE and change.state in _BY_STATE):
        return name
    return _BY_STATE.get(change.state, "job.retrying") if change.state is not None else "job.deleted"


class Filter(Struct, frozen=True):
    """Which events a follower gets, from where on, and in which form."""

    names: frozenset[str]
    queues: frozenset[str] | None
    jobs: frozenset[str] | None
    after: int | None
    is_full: bool
    reaches: Callable[[str], bool]

    def takes(self, change: JobChange) -> bool:
        return (
            self.reaches(change.queue)
            and (self.queues is None or change.queue in self.queues)
            and (self.jobs is None or change.job_id in self.jobs)
            and stream_name(change) in self.names
        )

    def plain(self, change: JobChange) -> dict[str, Any]:
        """Exactly what the wire format has."""
        return {
            "event": stream_name(change),
            "job_id": change.job_id,
            "queue": change.queue,
            "timestamp": moment_text(change.at),
        }


def filter_of(query: str, last_event_id: str | None, grant: Grant) -> Filter:
    """What a query asks for: `events`, `queues`, `jobs` (lists parted by commas), `after`, `full`.

    Raises:
        Refusal: an event that does not exist, a position that is no number, a queue out of reach.
    """
    given = {key: values[-1] for key, values in parse_qs(query).items()}
    names = _names(given.get("events"))
    queues = _parted(given.get("queues"))
    for queue in sorted(queues or ()):
        reach.require(grant, About(queue=queue))
    is_full = given.get("full", "").lower() in ("1", "true") or names - WIRE_EVENTS != frozenset()
    after = _position(given.get("after") or last_event_id)
    return Filter(names, queues, _parted(given.get("jobs")), after, is_full, grant.reaches)


def _names(text: str | None) -> frozenset[str]:
    if text is None:
        return WIRE_EVENTS
    if text == "all":
        return ALL_EVENTS
    names = _parted(text) or frozenset()
    for name in sorted(names - ALL_EVENTS):
        known = ", ".join(sorted(ALL_EVENTS))
        raise Refusal("VALIDATION_ERROR", f"query: events names {shown(name)}; expected all, or some of: {known}.")
    return names


def _parted(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(part.strip() for part in text.split(",") if part.strip())


def _position(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise Refusal("VALIDATION_ERROR", f"query: after {shown(text)}; expected the id of an event seen before.")
    return int(text)
