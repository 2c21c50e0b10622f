"""Whether the one who asks reaches every queue that a request is about: the one place that decides it.

A token may be good for some queues only, and what a server signs and sends is for `admin` alone. A request names
queues in many ways: outright, by the ids of jobs, by schedules, by the follow-ups and parents of new jobs. What
the words of the request tell is decided by `require`; where jobs and schedules are must be looked up, and is then
judged by `require_places`. What names nothing is refused to those who reach some queues only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pyqueue.core.engine.looking import Places
from pyqueue.core.errors import ValidationError, no_job
from pyqueue.web.errors import Refusal
from pyqueue.web.request import About, Grant


def require(grant: Grant, about: About) -> None:
    """Lets pass what is in reach, as far as the words of the request tell.

    Raises:
        Refusal: FORBIDDEN.
    """
    if grant.reaches_all:
        return
    named = [] if about.queue is None else [about.queue]
    for options in about.options:
        named += [queue for queue in _follow_up_queues(options) if isinstance(queue, str)]
    for queue in named:
        if not grant.reaches(queue):
            raise _forbidden(grant, f"does not reach the queue {queue[:80]!r}")
    if grant.queues is not None and not (named or about.jobs or about.schedule is not None):
        raise _forbidden(grant, "reaches some queues only, and this request names none")


def looks_up(grant: Grant, about: About) -> bool:
    """Whether `require_places` must be told where jobs or a schedule are; not for most, who reach all."""
    return not grant.reaches_all and bool(about.schedule is not None or jobs_of(about))


def jobs_of(about: About) -> tuple[str, ...]:
    """The jobs that are to be looked up."""
    return (*about.jobs, *_parents(about))


def require_places(grant: Grant, about: About, places: Places) -> frozenset[str]:
    """Lets pass a request on jobs and a schedule in reach; those that do not exist are the request's own matter.

    Gives the jobs out of reach that a request on each of its jobs by itself must answer as ones that do not exist.

    Raises:
        JobNotFound, ValidationError: as for jobs that do not exist, so that the client learns no more of them.
        Refusal: FORBIDDEN, for the schedule.
    """
    strange = frozenset(job_id for job_id, queue in places.jobs.items() if not grant.reaches(queue))
    if about.one_by_one:
        return strange
    for job_id in about.jobs:
        if job_id in strange:
            raise no_job(job_id)
    for job_id in strange:
        raise ValidationError(f"depends_on names job {job_id}, which does not exist; expected ids of stored jobs.")
    if places.schedule is not None and not grant.reaches(places.schedule):
        raise _forbidden(grant, f"does not reach the queue of the schedule {(about.schedule or '')[:80]!r}")
    return frozenset()


def _forbidden(grant: Grant, why: str) -> Refusal:
    return Refusal("FORBIDDEN", f"token {grant.name!r} {why}.")


def _parents(about: About) -> list[str]:
    """The stored jobs that new ones, and those that are to follow them, are to wait for."""
    return [
        parent
        for options in about.options
        for each in (options, *(entry["options"] for entry in _follow_ups(options)))
        for parent in _list(each.get("depends_on"))
        if isinstance(parent, str)
    ]


def _follow_up_queues(options: Mapping[str, Any]) -> Iterator[Any]:
    return (entry["queue"] for entry in _follow_ups(options))


def _follow_ups(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The queue and options of each follow-up in the metadata, and of those in theirs. What is no follow-up is
    passed over: it is refused later, with a word on its form."""
    waiting: list[Any] = [_decoded(options.get("metadata"))]
    while waiting:
        metadata = waiting.pop()
        for entry in _list(metadata.get("follow_ups") if isinstance(metadata, dict) else None):
            if isinstance(entry, dict):
                own = entry.get("options")
                own = own if isinstance(own, dict) else {}
                yield {"queue": entry.get("queue"), "options": own}
                waiting.append(own.get("metadata"))


def _decoded(metadata: Any) -> Any:
    """Metadata as it was sent, text of JSON, or as a value."""
    if not isinstance(metadata, msgspec.Raw):
        return metadata
    try:
        return msgspec.json.decode(metadata)
    except RecursionError:
        raise ValidationError("metadata is nested too deeply; expected fewer levels.") from None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
