"""What follows from the end of a job: the bits of `pyqueue_job.on_finish`, and what children make of a failed parent.

A job with none of the bits ends by itself, in the shortest statement there is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

REMOVE_ON_COMPLETE: Final = 1  # its row is removed when it completes
HAS_CHILDREN: Final = 2  # jobs wait, or once waited, for it
FOLLOW_UPS: Final = 4  # its metadata names jobs to push when it completes
HELD: Final = 8  # it waits for one thing more than its parents: its batch is still being filled
ENDED_BY_PARENT: Final = 16  # it never ran, since a parent could not complete; a retry of that parent revives it
SAW_FAILURE: Final = 32  # one of its parents ended without completing, which is what it waits for

# The error of a job that was to run only after a failure, when there was none.
NOTHING_FAILED: Final = "skipped: no parent failed"


class ParentFailure(StrEnum):
    """What becomes of a blocked job when a parent ends without completing: dead, cancelled, expired or deleted."""

    FAIL = "fail"  # it ends as its parent did: a dead letter, or cancelled
    CANCEL = "cancel"  # it is cancelled
    RUN = "run"  # it runs all the same, once every parent has ended
    ONLY = "only"  # it runs for that very reason, once every parent has ended; cancelled if all of them complete

    @property
    def code(self) -> int:
        """The integer stored in `pyqueue_dependency.on_failure`."""
        return _CODES[self]


PARENT_FAILURES: Final = tuple(ParentFailure)
_CODES: Final = {kind: code for code, kind in enumerate(PARENT_FAILURES)}

FAIL: Final = 0
CANCEL: Final = 1
RUN: Final = 2
ONLY: Final = 3
