"""Schedules in code: the decorators, and how the table follows them without touching what was made by hand."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

import pytest

from pyqueue import PyQueue, ScheduleSync, Tasks
from pyqueue.core.errors import ConfigError, ValidationError
from pyqueue.testing import FakeClock
from tests.core.timing import MINUTE_MS, at
from tests.waiting import eventually


def names(queue: PyQueue) -> list[str]:
    return [schedule.name for schedule in queue.list_schedules()]


def test_a_decorated_task_runs_by_itself(path: Path) -> None:
    ran = threading.Event()
    with PyQueue(path) as queue:

        @queue.every(milliseconds=200, arguments={"name": "Ada"})
        @queue.task
        def greet(name: str) -> None:
            assert name == "Ada"
            ran.set()

        worker = queue.worker()
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            eventually(ran.is_set, what="the task")
        finally:
            worker.stop()
            thread.join()

    assert greet.name == "greet"


def test_the_decorators_say_what_the_table_holds(queue: PyQueue) -> None:
    @queue.cron("30 2 * * *", tz="Europe/Zurich", overlap="skip", job_options={"priority": 9})
    @queue.task(queue="reports", max_attempts=5, priority=1)
    def nightly(kind: str = "full") -> None: ...

    @queue.every(hours=1, minutes=30, name="often", arguments={"n": 1})
    @queue.task
    async def count_up(n: int) -> None: ...

    assert queue.sync_schedules() == ScheduleSync(created=("nightly", "often"))

    night, often = queue.list_schedules()
    assert (night.cron_expr, night.timezone, night.overlap) == ("30 2 * * *", "Europe/Zurich", "skip")
    assert (night.queue, night.job_name, night.job_data) == ("reports", "nightly", {})
    assert night.job_options == {"max_attempts": 5, "priority": 9} and night.next_run_at == at("01:30")
    assert (often.every_ms, often.queue, often.job_name, often.job_data) == (5_400_000, "default", "count-up", {"n": 1})
    assert (night.origin, often.origin) == ("code", "code")


def test_what_the_code_adds_changes_and_drops_the_table_follows_and_keeps_the_history(
    path: Path, clock: FakeClock
) -> None:
    with PyQueue(path, clock=clock) as old:
        task = old.task(_work)
        for name in ("same", "changed", "dropped"):
            old.cron("* * * * *", name=name)(task)
        old.sync_schedules()
        clock.advance(ms=MINUTE_MS)
        old.housekeep()
        old.pause_schedule("changed")
    with PyQueue(path, clock=clock) as new:
        task = new.task(_work)
        new.cron("* * * * *", name="same")(task)
        new.cron("*/5 * * * *", name="changed")(task)
        new.cron("* * * * *", name="added")(task)

        first, second = new.sync_schedules(), new.sync_schedules()

        assert first == ScheduleSync(created=("added",), changed=("changed",), removed=("dropped",))
        assert second == ScheduleSync()
        changed, same = new.get_schedule("changed"), new.get_schedule("same")
    assert (changed.cron_expr, changed.execution_count, changed.is_paused) == ("*/5 * * * *", 1, True)
    assert (same.execution_count, same.next_run_at) == (1, at("00:02"))


def _work() -> None: ...


def test_what_was_made_by_hand_is_left_alone(queue: PyQueue) -> None:
    queue.create_schedule("by-hand", "default", "work", every_ms=1_000)
    queue.create_schedule("work", "default", "other", every_ms=1_000)
    queue.every(minutes=5)(queue.task(name="work")(_work))

    assert queue.sync_schedules() == ScheduleSync(kept_by_hand=("work",))

    assert [(each.name, each.job_name, each.every_ms) for each in queue.list_schedules()] == [
        ("by-hand", "work", 1_000),
        ("work", "other", 1_000),
    ]


def test_programs_with_queues_of_their_own_leave_the_schedules_of_each_other_alone(path: Path) -> None:
    with PyQueue(path) as shop, PyQueue(path) as reports:
        shop.every(minutes=1)(shop.task(queue="shop", name="restock")(_work))
        reports.every(minutes=1)(reports.task(queue="reports", name="monthly")(_work))

        synced = [each.sync_schedules() for each in (shop, reports, shop)]

        assert [each.removed for each in synced] == [(), (), ()] and names(shop) == ["monthly", "restock"]


def test_two_versions_of_the_code_end_with_what_the_last_to_start_says_and_fire_each_moment_once(
    path: Path, clock: FakeClock
) -> None:
    with PyQueue(path, clock=clock) as old, PyQueue(path, clock=clock) as new:
        task = old.task(_work)
        old.cron("* * * * *", name="kept")(task)
        old.cron("* * * * *", name="dropped")(task)
        new.cron("* * * * *", name="kept", job_options={"priority": 5})(new.task(_work))
        fired = []
        for starting in (old, new, old, new):
            starting.sync_schedules()
            clock.advance(ms=MINUTE_MS)
            fired.append([each.housekeep().fired for each in (old, new)])

        assert fired == [[2, 0], [1, 0], [2, 0], [1, 0]]
        assert names(new) == ["kept"] and new.get_schedule("kept").execution_count == 4


def test_a_registry_brings_its_schedules_to_the_queue_that_includes_it(queue: PyQueue) -> None:
    tasks = Tasks()
    tasks.every(minutes=1, name="before")(tasks.task(_work))
    queue.include(tasks)
    tasks.every(minutes=2, name="after")(tasks.task(name="later")(_work))

    queue.sync_schedules()

    assert names(queue) == ["after", "before"]


def test_a_worker_on_a_handler_of_its_own_removes_nothing(path: Path) -> None:
    with PyQueue(path) as program:
        program.every(minutes=1)(program.task(name="work")(_work))
        program.sync_schedules()
    with PyQueue(path) as other:
        other.run_worker("default", lambda job: None, burst=True)

        assert names(other) == ["work"]


def test_an_annotation_defined_further_down_is_looked_at_when_the_schedule_is_stored(queue: PyQueue) -> None:
    def remind(when: Later | None = None) -> None: ...

    queue.every(minutes=1)(queue.task(remind))

    class Later(datetime): ...

    with pytest.raises((NameError, ConfigError)):  # local to this test, so it is never found
        queue.sync_schedules()
    remind.__annotations__["when"] = "int | None"
    assert queue.sync_schedules().created == ("remind",)


def test_what_does_not_fit_is_refused_where_it_is_written(queue: PyQueue) -> None:
    task = queue.task(name="work")(_work)

    with pytest.raises(ConfigError, match=r"@queue\.task below"):
        queue.cron("* * * * *")(_work)  # type: ignore[type-var]
    with pytest.raises(ValidationError, match="Invalid cron"):
        queue.cron("* * *")(task)
    with pytest.raises(ValidationError, match="every_ms 0"):
        queue.every()(task)
    with pytest.raises(ValidationError, match="surname"):
        queue.every(minutes=1, arguments={"surname": "x"})(task)
    queue.every(minutes=1)(task)
    with pytest.raises(ConfigError, match="two schedules are called 'work'"):
        queue.every(minutes=2)(task)
