"""Which errors of a task are worth another attempt, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pyqueue.core.verdicts import Discard, GiveUp, Retry, Verdict

Errors = type[Exception] | tuple[type[Exception], ...]
RetryDelay = Callable[[int, BaseException], int]


class FailurePolicy(NamedTuple):
    """`retry_on`: only these are tried again (None: all). `discard_on`: these end the job as cancelled.

    `retry_delay_ms(attempt, error)`: the wait after failure number `attempt`, in place of the job's backoff.
    """

    retry_on: Errors | None = None
    discard_on: Errors = ()
    retry_delay_ms: RetryDelay | None = None

    def verdict_on(self, error: Exception, attempt: int) -> Verdict | None:
        """What is to become of a job whose failure number `attempt` is this; None: what its options say."""
        if isinstance(error, Verdict):
            return None
        if isinstance(error, self.discard_on):
            return Discard(str(error))
        if self.retry_on is not None and not isinstance(error, self.retry_on):
            return GiveUp(str(error))
        if self.retry_delay_ms is not None:
            return Retry(str(error), delay_ms=self.retry_delay_ms(attempt, error))
        return None
