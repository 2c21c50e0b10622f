"""How long to wait before the next try."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Final

from pyqueue.core import limits
from pyqueue.core.errors import ValidationError


class Backoff(StrEnum):
    """The shape of the waits between the attempts of a job."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"

    @property
    def code(self) -> int:
        """The integer stored in `pyqueue_job.backoff`."""
        return _CODES[self]


BACKOFFS: Final = tuple(Backoff)
_CODES: Final = {kind: code for code, kind in enumerate(BACKOFFS)}


def next_delay_ms(attempt: int, *, kind: Backoff, base_ms: int) -> int:
    """Milliseconds to wait before the next try, after `attempt` failures (1, 2, …).

    fixed: base; linear: base × attempt; exponential: base × 2^(attempt − 1), as in
    RustQueue. Never more than `limits.BACKOFF_MS_MAX` (or the base, if that is
    larger), so that a large `attempt` cannot push a job beyond the calendar.

    Raises:
        ValidationError: attempt < 1, or base_ms < 0.
    """
    if attempt < 1 or base_ms < 0:
        raise ValidationError(
            f"backoff after attempt {attempt} with base {base_ms} ms; expected attempt ≥ 1 and base ≥ 0."
        )
    ceiling = max(base_ms, limits.BACKOFF_MS_MAX)
    if kind is Backoff.FIXED:
        return base_ms
    if kind is Backoff.LINEAR:
        return min(base_ms * attempt, ceiling)
    # 2^37 ms already exceeds every ceiling; the bound keeps the integer small.
    return min(base_ms << min(attempt - 1, 37), ceiling)


def with_jitter_ms(delay_ms: int, draw: random.Random) -> int:
    """A wait drawn evenly from the upper half of `delay_ms`, so that jobs that failed together spread out.

    This is "equal jitter" of the AWS Architecture Blog's "Exponential Backoff And Jitter".
    """
    return delay_ms - draw.randint(0, delay_ms // 2)
