"""The forms of replies on what a job has gone through; as in `replies`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pyqueue.core.explanation import Reason
from pyqueue.core.states import JobState
from pyqueue.web.replies import JobId, Log, Ok


class NumberedLog(Log):
    number: int


class Logs(Struct):
    """`is_over`: nothing will follow."""

    ok: Ok
    logs: list[NumberedLog]
    is_over: bool


class Explained(Struct):
    """A word for programs, what it rests on, and a sentence for people."""

    ok: Ok
    job_id: JobId
    state: JobState
    reason: Reason
    sentence: str
    facts: dict[str, Any]
