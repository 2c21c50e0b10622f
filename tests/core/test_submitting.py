"""Many operations of a server at once: in order, each with its own outcome, delivered in one call on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from pyqueue.core.engine.finish import Ack, Fail, FailMany, Ref
from pyqueue.core.engine.pull import Pull
from pyqueue.core.engine.push import Push
from pyqueue.core.engine.push_each import PushEach
from pyqueue.core.engine.queues import Pause
from pyqueue.core.errors import InvalidState, QueueClosed, QueuePaused, RateLimited, ValidationError
from pyqueue.core.job import FailResult
from pyqueue.core.options import NewJob, new_job
from pyqueue.core.store.operation import Operation
from tests.waiting import eventually

JOB = NewJob("n", "{}")
PULL = Pull(("q",), 10, 30_000, None)


async def outcomes_of(queue: PyQueue, *operations: Operation[Any]) -> list[Any]:
    """What is delivered, and that it is delivered once, on the thread of the loop."""
    delivered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    here = threading.get_ident()

    def deliver(outcomes: list[Any]) -> None:
        assert threading.get_ident() == here
        delivered.set_result(outcomes)

    queue.submit_all(operations, deliver)
    return await asyncio.wait_for(delivered, 10)


def test_operations_run_in_their_order_and_each_gets_its_outcome(path: Path) -> None:
    async def submit() -> list[Any]:
        async with PyQueue(path) as queue:
            return await outcomes_of(
                queue,
                PushEach("q", (JOB, JOB)),
                PULL,
                Push("q", (new_job("u", {}, {"unique_key": "k"}),)),
                Push("q", (new_job("u", {}, {"unique_key": "k"}),)),
                Ack((("nonsense", None, None),)),
                Pause("q", pushes=True, pulls=False),
                PushEach("q", (JOB,)),
                PULL,
            )

    pushed, pulled, first, second, acked, paused, refused, pulled_later = asyncio.run(submit())

    assert [job.key for job in pulled] == list(pushed)
    assert len(first) == 1 and second.code == "DUPLICATE_KEY"
    assert isinstance(acked[0], ValidationError) and paused is None
    assert isinstance(refused, QueuePaused)
    assert [job.name for job in pulled_later] == ["u"]


@pytest.mark.sqlite("its one writer")
@pytest.mark.parametrize("other", ["a thread", "another process"])
def test_a_loop_does_not_wait_for_another_writer(path: Path, other: str) -> None:
    async def submit() -> tuple[bool, list[Any]]:
        async with PyQueue(path) as queue:
            queue.push("q", "first")
            with PyQueue(path) as elsewhere:
                store: Any = (queue if other == "a thread" else elsewhere)._runtime.store
                holder = threading.Thread(target=hold, args=(store, is_held := threading.Event(), release))
                holder.start()
                is_held.wait(10)
                task = asyncio.ensure_future(outcomes_of(queue, PushEach("q", (JOB,))))
                await asyncio.sleep(0.05)
                was_done = task.done()
                release.set()
                outcomes = await task
                holder.join()
                return was_done, outcomes

    release = threading.Event()

    was_done, outcomes = asyncio.run(submit())

    assert not was_done
    assert len(outcomes[0]) == 1


def hold(store: Any, is_held: threading.Event, release: threading.Event) -> None:
    with store.lock:
        store.begin(durable=False)
        is_held.set()
        release.wait(10)
        store.rollback()


def test_what_is_submitted_while_others_write_keeps_its_order(path: Path) -> None:
    async def submit() -> list[Sequence[int]]:
        async with PyQueue(path) as queue:
            stop = threading.Event()
            crowd = [threading.Thread(target=push_until, args=(queue, stop)) for _ in range(4)]
            for thread in crowd:
                thread.start()
            tasks = [asyncio.ensure_future(outcomes_of(queue, PushEach("q", (JOB,)))) for _ in range(200)]
            pushed = [outcome for [outcome] in await asyncio.gather(*tasks)]
            stop.set()
            for thread in crowd:
                thread.join()
            return pushed

    keys = [key for pushed in asyncio.run(submit()) for key in pushed]

    assert len(set(keys)) == 200 and keys == sorted(keys)


def push_until(queue: PyQueue, stop: threading.Event) -> None:
    while not stop.is_set():
        queue.push("other", "n")


def test_nothing_submitted_is_delivered_too(path: Path) -> None:
    async def submit() -> list[Any]:
        async with PyQueue(path) as queue:
            return await outcomes_of(queue)

    assert asyncio.run(submit()) == []


def test_a_closed_handle_takes_nothing(path: Path) -> None:
    async def submit() -> None:
        queue = PyQueue(path)
        await queue.aclose()
        queue.submit_all([PULL], lambda _: None)

    with pytest.raises(QueueClosed):
        asyncio.run(submit())


@pytest.mark.sqlite("its one writer")
def test_a_loop_that_closes_before_the_commit_gives_its_jobs_back(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "n")

        async def leave_behind() -> None:
            queue.submit_all([PULL], lambda _: None)

        store: Any = queue._runtime.store
        with store.lock:
            thread = threading.Thread(target=lambda: asyncio.run(leave_behind()))
            thread.start()
            thread.join()

        eventually(lambda: queue.stats("q").waiting == 1 and queue.stats("q").active == 0)


def test_a_limit_takes_as_many_of_many_callers_as_it_can(path: Path) -> None:
    async def submit(queue: PyQueue) -> list[Any]:
        return await outcomes_of(queue, PushEach("q", (JOB,) * 5), PushEach("free", (JOB,) * 2))

    with PyQueue(path) as queue:
        queue.set_push_limit("q", rate=1, per_ms=60_000, burst=3)

        limited, free = asyncio.run(submit(queue))

        assert [isinstance(each, RateLimited) for each in limited] == [False] * 3 + [True] * 2
        assert len(free) == 2 and queue.stats("q").waiting == 3


def test_several_failures_are_each_judged_alone(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", max_attempts=1)
    gone = queue.push("q", "n")
    queue.pull("q", count=2)
    queue.cancel(gone)
    queue.ack(gone)

    first, second = queue._runtime.write(FailMany((Fail(Ref(job_id, None), "e"), Fail(Ref(gone, None), "e"))))

    assert isinstance(first, FailResult) and not first.will_retry
    assert isinstance(second, InvalidState)
