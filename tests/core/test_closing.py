"""The life of a handle: opened at the first use, shared by threads and loops, closed once and for all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import QueueClosed
from pyqueue.testing import FakeClock
from tests.waiting import eventually

CALLS: dict[str, Callable[[PyQueue, str], object]] = {
    "push": lambda queue, _: queue.push("q", "n"),
    "push_many": lambda queue, _: queue.push_many("q", [{"name": "n"}]),
    "pull": lambda queue, _: queue.pull("q"),
    "pull and wait": lambda queue, _: queue.pull("q", wait_ms=10_000),
    "ack": lambda queue, job_id: queue.ack(job_id),
    "fail": lambda queue, job_id: queue.fail(job_id, "x"),
    "heartbeat": lambda queue, job_id: queue.heartbeat(job_id),
    "cancel": lambda queue, job_id: queue.cancel(job_id),
    "get_job": lambda queue, job_id: queue.get_job(job_id),
    "list_jobs": lambda queue, _: queue.list_jobs(),
    "stats": lambda queue, _: queue.stats("q"),
    "queues": lambda queue, _: queue.queues(),
    "wait_for": lambda queue, job_id: queue.wait_for(job_id),
    "purge": lambda queue, _: queue.purge("q"),
    "housekeep": lambda queue, _: queue.housekeep(),
    "start_housekeeping": lambda queue, _: queue.start_housekeeping(),
    "apush": lambda queue, _: asyncio.run(queue.apush("q", "n")),
    "apull": lambda queue, _: asyncio.run(queue.apull("q", wait_ms=10_000)),
    "aget_job": lambda queue, job_id: asyncio.run(queue.aget_job(job_id)),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_handle_refuses_every_call(path: Path, call: str) -> None:
    queue = PyQueue(path)
    job_id = queue.push("q", "n")
    queue.close()
    queue.close()

    with pytest.raises(QueueClosed, match="open a new PyQueue"):
        CALLS[call](queue, job_id)

    assert not [thread.name for thread in threading.enumerate() if thread.name == "pyqueue-housekeeping"]


@pytest.mark.sqlite("files")
def test_a_handle_that_was_never_used_leaves_no_file(path: Path) -> None:
    with PyQueue(path):
        pass

    assert not path.exists()


@pytest.mark.sqlite("files")
def test_close_leaves_one_file_with_everything_in_it(path: Path) -> None:
    with PyQueue(path) as queue:
        job_id = queue.push("q", "n")

    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with PyQueue(path) as queue:
        assert queue.get_job(job_id).state is JobState.WAITING


def test_close_ends_the_calls_that_wait(path: Path) -> None:
    queue = PyQueue(path)
    job_id = queue.push("other", "n")
    outcomes: dict[str, object] = {}

    def note(name: str, call: Callable[[], object]) -> None:
        try:
            outcomes[name] = call()
        except QueueClosed as error:
            outcomes[name] = error

    threads = [
        threading.Thread(target=note, args=("pull", lambda: queue.pull("q", wait_ms=60_000))),
        threading.Thread(target=note, args=("wait_for", lambda: queue.wait_for(job_id, timeout=60))),
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: queue._runtime.wakeups.is_anyone_waiting)
    queue.close()
    for thread in threads:
        thread.join(10)

    assert {name: isinstance(each, QueueClosed) or each == [] for name, each in outcomes.items()} == {
        "pull": True,
        "wait_for": True,
    }


@pytest.mark.parametrize("how", ["close", "aclose"])
def test_what_was_pushed_before_the_close_is_answered(path: Path, how: str) -> None:
    async def push_and_close() -> list[Any]:
        queue = PyQueue(path)
        await queue.apush("q", "first")
        pushes = [asyncio.create_task(queue.apush("q", "n")) for _ in range(50)]
        await asyncio.sleep(0)
        if how == "close":
            queue.close()
        else:
            await queue.aclose()
        return await asyncio.wait_for(asyncio.gather(*pushes, return_exceptions=True), 10)

    outcomes = asyncio.run(push_and_close())

    kept = [each for each in outcomes if isinstance(each, str)]
    assert all(isinstance(each, str | QueueClosed) for each in outcomes)
    with PyQueue(path) as queue:
        assert {job.id for job in queue.list_jobs(name="n").jobs} == set(kept)


def test_one_handle_serves_many_threads(path: Path) -> None:
    with PyQueue(path, durability="process") as queue:
        done: list[str] = []

        def push_and_work() -> None:
            for _ in range(30):
                queue.push("q", "n")
                for job in queue.pull("q"):
                    queue.ack(job)
                    done.append(job.id)

        threads = [threading.Thread(target=push_and_work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        # On PostgreSQL a pull passes over a job that another pull is just looking at, so some may be left.
        for job in queue.pull("q", count=240):
            queue.ack(job)
            done.append(job.id)
        assert len(done) == len(set(done)) == queue.stats("q").completed == 240


def test_start_housekeeping_twice_is_one_thread_and_close_ends_it(path: Path) -> None:
    with PyQueue(path) as queue:
        job_id = queue.push("q", "n", delay_ms=20)
        queue.start_housekeeping()
        queue.start_housekeeping()
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("pyqueue-housekeeping") == 1
        eventually(lambda: queue.get_job(job_id).state is JobState.WAITING)

    assert not [thread.name for thread in threading.enumerate() if thread.name == "pyqueue-housekeeping"]


def test_a_queue_in_memory_does_what_one_in_a_file_does(clock: FakeClock) -> None:
    with PyQueue.memory(clock=clock) as queue, PyQueue.memory() as other:
        parent = queue.push("q", "parent", tags=["t"])
        child = queue.push("q", "child", depends_on=[parent], max_attempts=1)
        threads = [threading.Thread(target=queue.push, args=("many", "n")) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        queue.ack(queue.pull("q")[0], "done")
        queue.fail(queue.pull("q", lease_ms=10)[0], "broken")

        assert queue.wait_for(parent) == "done"
        assert queue.get_job(child).state is JobState.DLQ
        assert queue.stats("many").waiting == 10
        assert [job.id for job in queue.list_jobs(tag="t").jobs] == [parent]
        assert queue.housekeep().stalled == 0
        assert other.queues() == []


def test_a_waiting_pull_in_memory_is_woken() -> None:
    with PyQueue.memory() as queue:
        threading.Timer(0.02, queue.push, ("q", "n")).start()

        assert [job.name for job in queue.pull("q", wait_ms=10_000)] == ["n"]


@pytest.mark.sqlite("paths")
@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "relative"])
def test_the_forms_of_a_path_name_the_same_file(path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(path.parent)
    url = f"sqlite:///{path.name}" if form == "relative" else form.format(path)
    with PyQueue(path) as queue, PyQueue(url) as same:
        assert same.path == queue.path
        job_id = queue.push("q", "n")

        assert same.get_job(job_id).id == job_id


def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    for name in ("with space.db", "ünï.db", "50%.db", "a?b#c.db"):
        with PyQueue(tmp_path / name) as queue:
            queue.push("q", "n")
        assert (tmp_path / name).exists(), name
