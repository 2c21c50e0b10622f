"""What a push does when a job with its unique key is there already."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from pyqueue.core.states import ACTIVE, BLOCKED, CANCELLED, COMPLETED, DELAYED, DLQ, WAITING


class UniqueMode(StrEnum):
    """What becomes of a push whose `unique_key` is held."""

    REJECT = "reject"  # DuplicateKey
    IGNORE = "ignore"  # nothing; the holder's id is returned
    REPLACE = "replace"  # the waiting holder gets the new data and options, and keeps its place
    DEBOUNCE = "debounce"  # the same, and its delay begins anew
    THROTTLE = "throttle"  # at most one push per period has an effect


class PushOutcome(StrEnum):
    """What a push has done."""

    PUSHED = "pushed"  # stored a new job
    REPLACED = "replaced"  # changed the job that waited with the same key
    IGNORED = "ignored"  # nothing: a job with the same key is there


class PushResult(Struct, frozen=True):
    """The job that a push came to, new or not, and what was done."""

    id: str
    outcome: PushOutcome


_PENDING: Final = (WAITING, DELAYED, BLOCKED)
_ALL: Final = (WAITING, DELAYED, BLOCKED, ACTIVE, COMPLETED, DLQ, CANCELLED)

REPLACING: Final = (UniqueMode.REPLACE, UniqueMode.DEBOUNCE)


class Unique(Struct, frozen=True):
    """How a push treats its unique key. `states`: in which states another job counts; in others it gives its key up."""

    mode: UniqueMode
    for_us: int | None
    states: tuple[int, ...]


def states_that_count(mode: UniqueMode, *, has_period: bool) -> tuple[int, ...]:
    """The states in which a holder counts, unless they are named.

    A job that runs has begun with its old data, so it cannot be replaced: the new one takes the key.
    Within a period a job counts that has done its work; one that has failed or was cancelled may be pushed again.
    """
    if mode in REPLACING:
        return _PENDING
    if mode is UniqueMode.THROTTLE:
        return _ALL
    return (*_PENDING, ACTIVE, COMPLETED) if has_period else (*_PENDING, ACTIVE)
