"""What a job reports: read from a number on, and followed as it is written."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import JobNotFound
from pyqueue.core.job import LogPage
from tests.waiting import eventually


def test_logs_are_read_from_a_number_on(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")
    for number in range(4):
        queue.progress(job, 1, f"m{number}")

    entries = queue.logs(job)

    assert [(entry.number, entry.message) for entry in entries] == [(1, "m0"), (2, "m1"), (3, "m2"), (4, "m3")]
    assert queue.logs(job, after=2) == entries[2:] == asyncio.run(queue.alogs(job.id, after=2))
    assert queue.get_job(job).logs == tuple(entries)


def test_following_ends_with_the_job_and_misses_nothing(path: Path) -> None:
    with PyQueue(path) as queue, PyQueue(path) as other:
        job_id = other.push("q", "n")
        seen: list[str] = []
        follower = threading.Thread(target=lambda: seen.extend(entry.message for entry in queue.follow_logs(job_id)))
        follower.start()
        [job] = other.pull("q")
        for number in range(20):
            other.progress(job, number, f"m{number}")
        other.ack(job)
        follower.join(10)

    assert seen == [f"m{number}" for number in range(20)]


def test_a_message_is_seen_at_once(path: Path) -> None:
    with PyQueue(path) as queue, PyQueue(path) as other:
        other.push("q", "n")
        [job] = other.pull("q")
        seen: list[float] = []
        follower = threading.Thread(target=lambda: seen.extend(time.monotonic() for _ in queue.follow_logs(job)))
        follower.start()
        eventually(lambda: queue._runtime.wakeups.is_anyone_waiting)
        delays = []
        for number in range(5):
            other.progress(job, 1, f"m{number}")
            written = time.monotonic()
            eventually(lambda number=number: len(seen) > number)  # type: ignore[misc]
            delays.append(seen[number] - written)
            eventually(lambda: queue._runtime.wakeups.is_anyone_waiting)
        other.ack(job)
        follower.join(10)

    assert sorted(delays)[2] < 0.2, "woken, not by the poll of a quarter of a second"


def test_a_loop_follows_as_a_thread_does(path: Path) -> None:
    async def follow() -> list[str]:
        async with PyQueue(path) as queue:
            await queue.apush("q", "n")
            [job] = await queue.apull("q")

            async def work() -> None:
                for number in range(5):
                    await queue.aprogress(job, 1, f"m{number}")
                    await asyncio.sleep(0)
                await queue.aack(job)

            working = asyncio.create_task(work())
            seen = [entry.message async for entry in queue.afollow_logs(job)]
            await working
            return seen

    assert asyncio.run(follow()) == [f"m{number}" for number in range(5)]


def test_following_a_job_that_is_over_gives_what_is_there(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")
    queue.progress(job, 1, "one")
    queue.ack(job)

    assert [entry.message for entry in queue.follow_logs(job)] == ["one"]
    assert list(queue.follow_logs(job, after=1)) == []
    queue.delete(job)
    with pytest.raises(JobNotFound):
        next(iter(queue.follow_logs(job)))
    with pytest.raises(JobNotFound):
        queue.logs(job)


def test_a_wait_for_messages_goes_on_when_it_was_woken_for_something_else(queue: PyQueue) -> None:
    """As on PostgreSQL by the late news of what was there before."""
    queue.push("q", "n")
    [job] = queue.pull("q")
    wakeups = queue._runtime.wakeups
    pages: list[LogPage] = []
    threads = [
        threading.Thread(target=lambda: pages.append(queue.log_page(job, wait_ms=20_000))),
        threading.Thread(target=lambda: pages.append(asyncio.run(queue.alog_page(job, wait_ms=20_000)))),
    ]
    for thread in threads:
        thread.start()
    for _ in range(5):
        eventually(lambda: len(wakeups._waiters) == 2, what="two that wait")
        wakeups.notify_all()
    eventually(lambda: len(wakeups._waiters) == 2, what="two that wait again")

    queue.progress(job, 1, "news")
    for thread in threads:
        thread.join(20)

    assert [[entry.message for entry in page.entries] for page in pages] == [["news"], ["news"]]
