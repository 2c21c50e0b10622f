"""A token bucket as one number: the moment at which it will be full again."""

from __future__ import annotations

import math

from msgspec import Struct


class Rate(Struct, frozen=True):
    """`rate` per `per_ms`, and at most `burst` at once. A bucket of it starts full.

    What must be kept of a bucket is when it will be full again (None, or a moment that is over: it is). Each
    token takes one interval to grow, which is rounded up to whole microseconds: never faster than the rate.
    """

    rate: float
    per_ms: int
    burst: int

    @property
    def interval_us(self) -> int:
        """How long one token takes to grow."""
        return math.ceil(self.per_ms * 1_000 / self.rate)

    def free(self, full_us: int | None, now_us: int) -> int:
        """How many tokens are there."""
        missing_us = max(0, (full_us or 0) - now_us)
        return max(0, (self.burst * self.interval_us - missing_us) // self.interval_us)

    def after(self, full_us: int | None, now_us: int, taken: int) -> int:
        """When the bucket will be full again once `taken` tokens are gone."""
        return max(full_us or 0, now_us) + taken * self.interval_us

    def next_us(self, full_us: int, number: int = 1) -> int:
        """The moment from which `number` tokens are there."""
        return full_us - (self.burst - number) * self.interval_us
