"""Why a job is not running: a word for programs, facts, and a sentence for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from pyqueue.core.states import JobState


class Reason(StrEnum):
    """What a job waits for, or why it waits no longer."""

    NEXT = "next"  # nothing: it is the next to be pulled
    BEHIND_OTHERS = "behind_others"
    NO_WORKER = "no_worker"  # no worker was heard of that pulls from its queue
    NO_TASK = "no_task"  # those that pull from its queue do not know its name
    QUEUE_PAUSED = "queue_paused"
    BREAKER_OPEN = "breaker_open"
    QUEUE_LIMIT = "queue_limit"  # as many jobs of its queue run as may
    KEY_LIMIT = "key_limit"  # as many jobs of its limit key run as may
    QUEUE_RATE = "queue_rate"  # as many jobs of its queue have begun as may, until a moment
    KEY_RATE = "key_rate"
    DELAYED = "delayed"
    BLOCKED = "blocked"  # it waits for other jobs
    RUNNING = "running"
    COMPLETED = "completed"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Explanation(Struct, frozen=True):
    """Why a job is not running. `facts` are plain JSON values, with ids and moments as text."""

    job_id: str
    state: JobState
    reason: Reason
    sentence: str
    facts: dict[str, Any]

    def __str__(self) -> str:
        return self.sentence
