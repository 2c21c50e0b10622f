"""Waiting for a condition, with a deadline, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, seconds: float = 10.0, what: str = "the condition") -> T:
    """The first truthy value of `condition`, looked for every few milliseconds.

    Raises:
        AssertionError: it has not come true in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} has not come true within {seconds} s"
        time.sleep(0.005)
