"""The life of a job as data: every way in which a job can move is in this table.

The engine announces its work in these terms, the diagram in the documentation is
drawn from it, and the property tests hold every move they see against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from pyqueue.core.states import JobState

_WAITING, _DELAYED, _BLOCKED = JobState.WAITING, JobState.DELAYED, JobState.BLOCKED
_ACTIVE, _COMPLETED, _DLQ, _CANCELLED = (
    JobState.ACTIVE,
    JobState.COMPLETED,
    JobState.DLQ,
    JobState.CANCELLED,
)


class Event(StrEnum):
    """What can happen to a job."""

    PUSH = "push"
    PROMOTE = "promote"
    UNBLOCK = "unblock"
    REPLACE = "replace"
    PULL = "pull"
    ACK = "ack"
    FAIL = "fail"
    STALL = "stall"
    TIMEOUT = "timeout"
    RELEASE = "release"
    CANCEL = "cancel"
    EXPIRE = "expire"
    CASCADE = "cascade"
    RETRY = "retry"
    DELETE = "delete"


class Rule(Struct, frozen=True):
    """One row of the table.

    `sources`: the states the event is allowed in (empty: the job does not exist yet).
    `targets`: the states it may lead to (empty: the job does not exist any more).
    `signal`: the name of the blinker signal sent for it after the commit.
    """

    sources: frozenset[JobState]
    targets: frozenset[JobState]
    signal: str
    meaning: str


def _rule(sources: set[JobState], targets: set[JobState], signal: str, meaning: str) -> Rule:
    return Rule(frozenset(sources), frozenset(targets), signal, meaning)


_FAILED_TO: Final = {_WAITING, _DELAYED, _DLQ, _CANCELLED}
_PENDING: Final = {_WAITING, _DELAYED, _BLOCKED}
_FINISHED: Final = {_COMPLETED, _DLQ, _CANCELLED}

TRANSITIONS: Final[Mapping[Event, Rule]] = MappingProxyType(
    {
        Event.PUSH: _rule(set(), _PENDING, "job_pushed", "stored"),
        Event.PROMOTE: _rule({_DELAYED}, {_WAITING}, "job_promoted", "its delay is over"),
        Event.UNBLOCK: _rule({_BLOCKED}, {_WAITING, _DELAYED}, "job_unblocked", "no parent is left to wait for"),
        Event.REPLACE: _rule(_PENDING, _PENDING, "job_replaced", "given the data of a later push with its unique key"),
        Event.PULL: _rule({_WAITING}, {_ACTIVE}, "job_pulled", "handed to a worker under a lease"),
        Event.ACK: _rule({_ACTIVE}, {_COMPLETED}, "job_completed", "the worker reported success"),
        Event.FAIL: _rule({_ACTIVE}, _FAILED_TO, "job_failed", "the worker reported an error"),
        Event.STALL: _rule({_ACTIVE}, _FAILED_TO, "job_failed", "no heartbeat before the lease ended"),
        Event.TIMEOUT: _rule({_ACTIVE}, _FAILED_TO, "job_failed", "ran longer than its timeout"),
        Event.RELEASE: _rule({_ACTIVE}, {_WAITING, _DELAYED, _CANCELLED}, "job_released", "given back unfinished"),
        Event.CANCEL: _rule(_PENDING, {_CANCELLED}, "job_cancelled", "withdrawn"),
        Event.EXPIRE: _rule(_PENDING, {_CANCELLED}, "job_cancelled", "not started within its ttl"),
        Event.CASCADE: _rule(
            {_BLOCKED}, {_DLQ, _CANCELLED}, "job_failed", "its parents have ended, and it will not run"
        ),
        Event.RETRY: _rule({_DLQ, _CANCELLED}, {_WAITING, _BLOCKED}, "job_retried", "sent round again by a person"),
        Event.DELETE: _rule(_PENDING | _FINISHED, set(), "job_deleted", "its row was removed"),
    }
)
