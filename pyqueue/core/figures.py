"""Figures of a database at one moment, for those who watch it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from pyqueue.core.job import QueueInfo
from pyqueue.core.states import JobState
from pyqueue.core.transitions import Event


class Total(Struct, frozen=True):
    """How many jobs of a queue an event has ever brought into a state (None: out of the database)."""

    queue: str
    event: Event
    state: JobState | None
    jobs: int


class Figures(Struct, frozen=True, kw_only=True):
    """One snapshot. `totals` only grow, count what all processes did, and are the same for each that reads them.

    `ages_us`: for each queue with jobs that wait, how long the next one has been ready. `lapsed`: for each queue
    with any, the runs whose lease is over and that nobody has taken back yet. `fired`: jobs pushed by each schedule.
    `workers`: those that live, without the ones that only deliver webhooks.
    """

    queues: Sequence[QueueInfo]
    totals: Sequence[Total]
    ages_us: dict[str, int]
    lapsed: dict[str, int]
    fired: dict[str, int]
    workers: int
