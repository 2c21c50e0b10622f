"""What a worker says of itself, and what is known of the workers that live."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from pyqueue.core.job import Job

# How often a worker says that it is there: one small write, together with its heartbeats.
PRESENCE_SECONDS: Final = 10.0
# Unheard of for so long, a worker is taken for dead: three times its beat.
PRESENCE_LAPSES_SECONDS: Final = 30.0


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it introduces itself."""

    id: str  # random: a worker that comes back is another one
    name: str | None
    host: str
    pid: int
    version: str
    mode: str
    concurrency: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]  # the names of the tasks it knows; empty where it runs a handler
    started_us: int


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that was heard of within the last half minute.

    `jobs` are those it has claimed and not finished, the longest running first, at most 1,000 over all
    workers; `jobs_in_hand` is how many it had at its last beat.
    """

    id: str
    name: str | None
    host: str
    pid: int
    version: str
    mode: str
    concurrency: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    started_at: datetime
    seen_at: datetime
    jobs_in_hand: int
    jobs: tuple[Job, ...] = ()
