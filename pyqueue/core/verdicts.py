"""What a handler may raise to say how its run ends. Anything else that it raises is a failed attempt."""

from __future__ import annotations

from typing import TypedDict

from pyqueue.core import limits
from pyqueue.core.validate import integer


class FailOptions(TypedDict, total=False):
    """How `fail` is to take a run."""

    retry: bool
    delay_ms: int | None
    discard: bool


class Verdict(Exception):
    """The worker's instruction, in place of an error."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason

    def told(self) -> str | BaseException:
        """What is kept as the job's error: the reason, or where an exception is behind it, the traceback of both."""
        return self if self.__cause__ is not None else self.reason or type(self).__name__

    def fail_options(self) -> FailOptions:
        """What it means to `fail`."""
        return {}


class Retry(Verdict):
    """A failed attempt; if one is left, the next follows after `delay_ms` (None: after the job's backoff)."""

    def __init__(self, reason: str = "", *, delay_ms: int | None = None) -> None:
        super().__init__(reason)
        self.delay_ms = None if delay_ms is None else integer(delay_ms, "delay_ms", 0, limits.DURATION_MS_MAX)

    def fail_options(self) -> FailOptions:
        return {"delay_ms": self.delay_ms}


class Snooze(Verdict):
    """Not now: the job is given back, to be pulled again after `delay_ms`. No attempt is spent."""

    def __init__(self, delay_ms: int) -> None:
        super().__init__()
        self.delay_ms = integer(delay_ms, "delay_ms", 0, limits.DURATION_MS_MAX)


class Discard(Verdict):
    """The job has no point any more: it ends as cancelled, with the reason, and not among the dead letters."""

    def fail_options(self) -> FailOptions:
        return {"discard": True}


class GiveUp(Verdict):
    """Another attempt has no point: the job goes to the dead letters at once."""

    def fail_options(self) -> FailOptions:
        return {"retry": False}
