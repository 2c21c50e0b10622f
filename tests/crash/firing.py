"""Programs that fire schedules by a clock that is wrong by up to two seconds, and one that edits them meanwhile."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from pyqueue import PyQueue

SKEW_SECONDS_MAX = 2.0
Say = Callable[..., None]


class SkewedClock:
    """The clock of a machine that is set wrong."""

    def __init__(self, seconds: float) -> None:
        self._skew_us = int(seconds * 1_000_000)

    def now_us(self) -> int:
        return time.time_ns() // 1_000 + self._skew_us


def _with_wrong_clock(queue: PyQueue) -> tuple[PyQueue, random.Random]:
    draw = random.Random(os.getpid())
    return PyQueue(queue._opening["url"], clock=SkewedClock(draw.uniform(-SKEW_SECONDS_MAX, SKEW_SECONDS_MAX))), draw


def fire_schedules(queue: PyQueue, say: Say) -> None:
    """Housekeeping without a pause, whoever leads, beside the thread that others leave it to."""
    wrong, draw = _with_wrong_clock(queue)
    wrong.start_housekeeping()
    while True:
        say("fired", wrong.housekeep().fired)
        time.sleep(draw.uniform(0, 0.02))


def edit_schedules(queue: PyQueue, say: Say) -> None:
    """Changes, pauses, resumes and triggers one schedule all the time."""
    wrong, draw = _with_wrong_clock(queue)
    ways: list[Callable[[], object]] = [
        lambda: wrong.edit_schedule("edited", cron_expr=draw.choice(["* * * * * *", "*/2 * * * * *"])),
        lambda: wrong.create_schedule("edited", "q", "tick", cron_expr="*/1 * * * * *"),
        lambda: wrong.pause_schedule("edited"),
        lambda: wrong.resume_schedule("edited"),
        lambda: wrong.resume_schedule("edited"),
        lambda: wrong.trigger_schedule("edited"),
    ]
    while True:
        draw.choice(ways)()
        say("edited")
        time.sleep(draw.uniform(0, 0.1))
