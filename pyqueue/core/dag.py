"""The jobs of one push that depend on each other: names resolved, circles found, before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from pyqueue.core import ids
from pyqueue.core.errors import ValidationError
from pyqueue.core.options import Inner, NewJob, Settings
from pyqueue.core.validate import shown

_SHOWN_MAX: Final = 10


def resolve(jobs: Sequence[NewJob]) -> list[NewJob]:
    """The same jobs, with `depends_on` parted into ids of stored jobs and places in this push.

    Raises:
        ValidationError: two jobs have one ref, a ref is none of this push, or the jobs wait for each other in a circle.
    """
    places = _places(jobs)
    if not places:
        return list(jobs)
    resolved = [_resolved(job, places) for job in jobs]
    parents = {inner.place for job in resolved if job.settings for inner in job.settings.inner}
    for place in parents:
        job = resolved[place]
        resolved[place] = msgspec.structs.replace(
            job, settings=msgspec.structs.replace(job.settings or Settings(), has_children=True)
        )
    in_order(resolved)
    return resolved


def _places(jobs: Sequence[NewJob]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, job in enumerate(jobs):
        if job.ref is None:
            continue
        if job.ref in places:
            raise ValidationError(f"ref {shown(job.ref)} stands twice in one push; expected each ref once.")
        places[job.ref] = place
    return places


def _resolved(job: NewJob, places: Mapping[str, int]) -> NewJob:
    settings = job.settings
    if settings is None or not settings.depends_on:
        return job
    for name in settings.depends_on:
        if name not in places and not ids.looks_like_id(name):
            raise ValidationError(
                f"depends_on names {shown(name)}, which is neither the id of a job nor a ref of this push; "
                f"expected one of: {_some(map(shown, places))}."
            )
    binds = settings.binds or {}
    return msgspec.structs.replace(
        job,
        settings=msgspec.structs.replace(
            settings,
            depends_on=tuple(name for name in settings.depends_on if name not in places),
            inner=tuple(Inner(places[name], binds.get(name)) for name in settings.depends_on if name in places),
        ),
    )


def _some(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:_SHOWN_MAX]) + (", …" if len(known) > _SHOWN_MAX else "")


def in_order(jobs: Sequence[NewJob]) -> list[int]:
    """The places of the jobs, each behind those of its parents (Kahn, 1962).

    Raises:
        ValidationError: that cannot be, since they wait for each other in a circle; the message names it.
    """
    waits = [len(job.settings.inner) if job.settings else 0 for job in jobs]
    children: dict[int, list[int]] = {}
    for place, job in enumerate(jobs):
        for inner in job.settings.inner if job.settings else ():
            children.setdefault(inner.place, []).append(place)
    order = [place for place, number in enumerate(waits) if number == 0]
    for place in order:
        for child in children.get(place, ()):
            waits[child] -= 1
            if not waits[child]:
                order.append(child)
    if len(order) < len(jobs):
        raise ValidationError(
            f"depends_on goes round in a circle: {_circle(jobs, waits)}; expected each job to wait for others only."
        )
    return order


def _circle(jobs: Sequence[NewJob], waits: Sequence[int]) -> str:
    """One of the circles among the jobs that still wait: from any of them, parent by parent, to one seen before."""
    place = next(place for place, number in enumerate(waits) if number)
    seen: dict[int, int] = {}
    path: list[int] = []
    while place not in seen:
        seen[place] = len(path)
        path.append(place)
        settings = jobs[place].settings
        assert settings is not None
        place = next(inner.place for inner in settings.inner if waits[inner.place])
    circle = [repr(jobs[each].ref) for each in [*path[seen[place] :], place]]
    return " → ".join(circle if len(circle) <= _SHOWN_MAX else [*circle[: _SHOWN_MAX - 1], "…", circle[-1]])
