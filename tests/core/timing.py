"""What the tests of schedules share: a schedule for every minute of a first day, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyqueue import PyQueue, Schedule

MINUTE_MS = 60_000
START = datetime(2030, 1, 1, tzinfo=UTC)  # where the fake clock begins


def at(text: str) -> datetime:
    """A time of the first day, `HH:MM` or `HH:MM:SS`."""
    return datetime.fromisoformat(f"2030-01-01T{text}+00:00")


def minutely(queue: PyQueue, **options: Any) -> Schedule:
    return queue.create_schedule("ticks", "q", "tick", **{"cron_expr": "* * * * *", **options})


def count(queue: PyQueue) -> int:
    return queue.stats("q").total


def runs(queue: PyQueue, name: str = "ticks") -> list[tuple[str, str | None]]:
    """The moments that came, oldest first, and why there was no job."""
    return [(f"{run.due_at:%H:%M}", run.error) for run in reversed(queue.schedule_runs(name))]
