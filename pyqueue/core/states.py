"""The states of a job: names on the wire, small integers in the database."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a job stands. The values are the names used everywhere."""

    WAITING = "waiting"
    DELAYED = "delayed"
    BLOCKED = "blocked"
    ACTIVE = "active"
    COMPLETED = "completed"
    DLQ = "dlq"
    CANCELLED = "cancelled"

    @property
    def code(self) -> int:
        """The integer stored in `pyqueue_job.state`."""
        return CODES[self]

    @property
    def is_terminal(self) -> bool:
        """Completed, dead or cancelled: nothing will happen by itself any more."""
        return self.code >= CODES[JobState.COMPLETED]


# The order matters to SQL: `state < 3` is "not started", `state < 4` is "live".
STATES: Final = tuple(JobState)
CODES: Final = {state: code for code, state in enumerate(STATES)}

WAITING: Final = 0
DELAYED: Final = 1
BLOCKED: Final = 2
ACTIVE: Final = 3
COMPLETED: Final = 4
DLQ: Final = 5
CANCELLED: Final = 6
