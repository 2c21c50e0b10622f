"""Four processes with clocks that are wrong fire the same schedules and are killed: each moment comes exactly once."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pyqueue import PyQueue
from tests.crash.faults import assert_sound
from tests.crash.nursery import Program

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")

CREW = ["fire_schedules"] * 4 + ["edit_schedules"]
STEPS = {"by-cron": timedelta(seconds=1), "by-interval": timedelta(milliseconds=250)}


def test_each_moment_fires_exactly_once_in_spite_of_kills_and_wrong_clocks(path: Path) -> None:
    _kill_and_check(path, seconds=6)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_for_minutes_each_moment_fires_exactly_once(path: Path) -> None:
    _kill_and_check(path, seconds=300)


def _kill_and_check(path: Path, *, seconds: float) -> None:
    firsts = _make_schedules(path)
    failures = _kill_for(path, seconds)

    assert failures == []
    assert_sound(path)
    moments = _moments_by_schedule(path)
    for name, step in STEPS.items():
        _assert_each_once(path, name, moments[name], firsts[name], step)
    edited = Counter(moments["edited"])
    assert edited and max(edited.values()) == 1


def _make_schedules(path: Path) -> dict[str, datetime]:
    """Schedules that make up for all they miss, so that none of their moments may be lost either."""
    with PyQueue(path) as queue:
        makes_up = {"misfire": "backfill", "backfill_max": 1_000}
        made = [
            queue.create_schedule("by-cron", "q", "tick", cron_expr="* * * * * *", **makes_up),  # type: ignore[arg-type]
            queue.create_schedule("by-interval", "q", "tick", every_ms=250, **makes_up),  # type: ignore[arg-type]
        ]
        queue.create_schedule("edited", "q", "tick", cron_expr="* * * * * *")
    return {schedule.name: schedule.next_run_at for schedule in made if schedule.next_run_at is not None}


def _kill_for(path: Path, seconds: float) -> list[str]:
    """Lets the crew work, killing one after the other; gives what went wrong in them."""
    draw = random.Random()
    crew = [Program(role, path, "process") for role in CREW]
    lines: list[str] = []
    for program in crew:
        program.wait_for_a_line()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        victim = crew.pop(draw.randrange(len(crew)))
        victim.run_on(draw.uniform(0, 0.3))
        lines += victim.kill()
        crew.append(Program(victim.role, path, "process"))
        crew[-1].wait_for_a_line()
    for program in crew:
        lines += program.kill()
    return [line for line in lines if line.startswith("failed")]


def _moments_by_schedule(path: Path) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = {name: [] for name in [*STEPS, "edited"]}
    with PyQueue(path) as queue:
        cursor = None
        while True:
            page = queue.list_jobs(queue="q", limit=1_000, cursor=cursor)
            for job in page.jobs:
                moment = job.metadata["schedule"]
                is_manual = moment["name"] == "edited" and "." in moment["due_at"]  # no moment of it has a fraction
                if not is_manual:
                    found[moment["name"]].append(datetime.fromisoformat(moment["due_at"]))
            cursor = page.next_cursor
            if cursor is None:
                return found


def _assert_each_once(path: Path, name: str, moments: list[datetime], first: datetime, step: timedelta) -> None:
    with PyQueue(path) as queue:
        schedule = queue.get_schedule(name)
    assert schedule.next_run_at is not None
    expected = [first + step * n for n in range((schedule.next_run_at - first) // step)]
    assert len(expected) > 4 and sorted(moments) == expected
    assert schedule.execution_count == len(expected)
