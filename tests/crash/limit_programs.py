"""Programs that work under limits, and push with unique keys."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

from pyqueue import PyQueue
from pyqueue.core.errors import StateError

Say = Callable[..., None]


def work_under_limits(queue: PyQueue, say: Say) -> None:
    """Runs each job for as many seconds as its data says; tells its key, when it was claimed, and when it ran."""
    say("ready")
    while True:
        for job in queue.pull("limited", wait_ms=60_000):
            begun = time.monotonic()
            time.sleep(job.data)
            say("ran", job.limit_key, job.started_us, begun, time.monotonic())
            queue.ack(job)


def hold_a_slot(queue: PyQueue, say: Say) -> None:
    [job] = queue.pull("limited", lease_ms=1_000)
    say("holds", job.id)
    time.sleep(3_600)


def push_unique(queue: PyQueue, say: Say) -> None:
    """Pushes with a handful of keys in all modes, and works on what it finds."""
    draw = random.Random(os.getpid())
    more: dict[str, dict[str, Any]] = {"debounce": {"delay_ms": 5}, "throttle": {"unique_for_ms": 20}}
    while True:
        mode = draw.choice(["reject", "ignore", "replace", "debounce", "throttle"])
        options: Any = {"unique_key": draw.choice("abc"), "unique_mode": mode, **more.get(mode, {})}
        try:
            result = queue.push_unique("unique", "n", os.getpid(), **options)
            say(result.outcome, result.id)
        except StateError:
            say("rejected", mode)
        for job in queue.pull("unique", count=2):
            _end(queue, job, draw)


def _end(queue: PyQueue, job: Any, draw: random.Random) -> None:
    try:
        if draw.random() < 0.2:
            queue.fail(job, "by chance", delay_ms=1)
        else:
            queue.ack(job)
    except StateError:
        return  # Its lease has ended meanwhile.
