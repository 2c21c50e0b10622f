"""The event log: what any process did, in order, resumable, and honest about gaps."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pyqueue.core.housekeeper as housekeeper
from pyqueue import JobState, PyQueue
from pyqueue.core.errors import InvalidState, ValidationError
from pyqueue.core.transitions import Event
from pyqueue.testing import FakeClock


def test_a_reader_follows_from_where_the_log_ends(queue: PyQueue) -> None:
    queue.push("q", "before")
    start = queue.events()

    job_id = queue.push("q", "n")
    queue.fail(queue.pull("q", worker_id="w")[0], "broken")
    page = queue.events(start.position)

    assert start.changes == []
    assert [change.event for change in page.changes] == [Event.PUSH, Event.PULL, Event.FAIL]
    assert page.changes[0].job_id == job_id
    assert (page.changes[2].error, page.changes[2].state) == ("broken", JobState.DELAYED)
    assert not page.has_gap
    assert queue.events(page.position).changes == []


def test_what_another_process_did_is_read_too_in_the_order_of_commits(path: Path, clock: FakeClock) -> None:
    with PyQueue(path, clock=clock) as one, PyQueue(path, clock=clock) as two:
        start = one.events()
        ids = []
        for queue in (one, two, one):
            clock.advance(ms=1)  # Within one, processes on PostgreSQL may get their ids in any order.
            ids.append(queue.push("q", "n"))
        two.ack_many(two.pull("q", count=3))

        changes = one.events(start.position).changes

    assert [change.job_id for change in changes] == ids * 3
    assert [change.event for change in changes] == [Event.PUSH] * 3 + [Event.PULL] * 3 + [Event.ACK] * 3


@pytest.mark.sqlite("looks into the file")
def test_a_batch_is_one_row_and_every_job_of_it_is_told(queue: PyQueue, path: Path) -> None:
    start = queue.events()
    ids = queue.push_many("q", [{"name": "n", "priority": number % 3} for number in range(200)])
    pulled = [job.id for job in queue.pull("q", count=200)]

    changes = queue.events(start.position).changes

    assert [change.job_id for change in changes] == ids + pulled
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM pyqueue_event").fetchone() == (2,)
    connection.close()


def test_pages_hold_everything_once(queue: PyQueue) -> None:
    start = queue.events()
    ids = [queue.push("q", "n") for _ in range(25)]

    seen, position = [], start.position
    while page := queue.events(position, limit=10):
        if not page.changes:
            break
        seen += [change.job_id for change in page.changes]
        position = page.position

    assert seen == ids


def test_a_refused_operation_leaves_no_event(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")
    start = queue.events()

    with pytest.raises(InvalidState):
        queue.ack(job_id)

    assert queue.events(start.position).changes == []


def test_a_reader_that_fell_behind_is_told_of_the_gap(queue: PyQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeper, "EVENTS_KEPT", 10)
    start = queue.events()
    for _ in range(30):
        queue.push("q", "n")
    queue._housekeeper._forget_events()

    behind = queue.events(start.position)
    ahead = queue.events(behind.position)

    assert behind.has_gap
    assert len(behind.changes) == 10
    assert not ahead.has_gap


def test_a_position_the_log_was_never_at_is_a_gap(queue: PyQueue) -> None:
    queue.push("q", "n")

    page = queue.events(1_000_000)

    assert page.has_gap
    assert queue.events(page.position).has_gap is False


def test_old_events_are_forgotten_but_positions_are_not_given_out_again(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n")
    clock.advance(seconds=2 * 86_400)
    before = queue.events().position

    queue._housekeeper._forget_events()
    queue.push("q", "n")

    assert queue.events().position == before + 1


def test_the_log_can_be_switched_off(path: Path) -> None:
    with PyQueue(path, logs_events=False) as queue:
        queue.push("q", "n")
        with pytest.raises(ValidationError, match="logs_events"):
            queue.events()
    with PyQueue(path) as queue:
        assert queue.events().position == 0


@pytest.mark.sqlite("a sqlite3 connection")
def test_a_joined_push_is_logged_with_the_callers_commit(path: Path) -> None:
    with PyQueue(path) as queue:
        start = queue.events()
        connection = sqlite3.connect(path)
        job_id = queue.on(connection).push("q", "n")
        assert queue.events(start.position).changes == []
        connection.commit()
        connection.close()

        [change] = queue.events(start.position).changes
        assert change.job_id == job_id


def test_readers_beside_writers_miss_nothing(path: Path) -> None:
    with PyQueue(path, durability="process") as queue:
        position = queue.events().position
        pushed: list[str] = []
        threads = [
            threading.Thread(target=lambda: pushed.extend(queue.push("q", "n") for _ in range(100))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        seen: list[str] = []
        while len(seen) < 400:
            page = queue.events(position, limit=50)
            position = page.position
            seen += [change.job_id for change in page.changes]
        for thread in threads:
            thread.join()

    assert sorted(seen) == sorted(pushed)
    if isinstance(path, Path):  # On PostgreSQL pushes go on side by side, and their commits come in any order.
        assert seen == sorted(seen), "ids and positions grow together"


def test_a_follower_waits_for_what_comes_next(path: Path) -> None:
    with PyQueue(path, durability="process") as queue, ThreadPoolExecutor() as pool:
        start = queue.events().position
        page = pool.submit(queue.events, start, wait_ms=20_000)
        job_id = queue.push("q", "n")

        [change] = page.result(timeout=10).changes

    assert change.job_id == job_id
    assert (change.position or 0) > start


def test_a_follower_hears_of_other_handles(path: Path) -> None:
    async def follow() -> str:
        async with PyQueue(path) as queue, PyQueue(path) as other:
            start = (await queue.aevents()).position
            page = asyncio.create_task(queue.aevents(start, wait_ms=20_000))
            job_id = await other.apush("q", "n")
            [change] = (await page).changes
            assert change.job_id == job_id
            return "heard"

    assert asyncio.run(follow()) == "heard"


def test_a_follower_does_not_wait_longer_than_told(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "n")

        page = queue.events(queue.events().position, wait_ms=1)

    assert page.changes == []
