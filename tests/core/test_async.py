"""The twins for event loops: the same calls, waiting differently."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyqueue import Job, JobState, PyQueue
from pyqueue.core.errors import DuplicateKey, JobNotFound, QueueClosed, WaitTimeout
from pyqueue.testing import FakeClock
from tests.writers import all_writers_taken

# Blocks on purpose (a worker, a thread), or is made for a place where there is no loop.
SYNC_ONLY = {
    "memory", "lent_to_memory", "on", "include", "wrap_push", "unwrap_push", "start_housekeeping",
    "worker", "run_worker", "pull_until", "wake_pulls", "beat", "leave", "runs", "complete", "time_out",
    "flow", "batch",
    "follow_logs", "afollow_logs",
}  # fmt: skip


# For servers, which have no task for each call.
SYNC_ONLY |= {"submit_all", "ids_of", "key_or_id", "keys_or_ids"}


def public_methods() -> list[str]:
    return [name for name, value in vars(PyQueue).items() if callable(value)] + [
        name for base in PyQueue.__mro__[1:-1] for name, value in vars(base).items() if callable(value)
    ]


def shape(method: Callable[..., Any]) -> list[tuple[str, object, object]]:
    """Parameters without their annotations: what `once` is given, `aonce` must be able to await."""
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def test_every_method_has_a_twin_with_the_same_parameters() -> None:
    names = [name for name in public_methods() if not name.startswith("_") and name not in SYNC_ONLY]
    sync_names = [name for name in names if not inspect.iscoroutinefunction(getattr(PyQueue, name))]

    for name in sync_names:
        twin = getattr(PyQueue, "a" + name)
        assert inspect.iscoroutinefunction(twin), name
        assert shape(twin) == shape(getattr(PyQueue, name)), name
    assert len(sync_names) > 20


def test_a_job_lives_its_life_on_an_event_loop(path: Path, clock: FakeClock) -> None:
    async def live() -> None:
        async with PyQueue(path, clock=clock) as queue:
            first = await queue.apush("q", "n", {"a": 1})
            await queue.apush_many("q", [{"name": "m"}, {"name": "o"}])
            [job] = await queue.apull("q")
            await queue.aprogress(job, 50, "half")
            assert not (await queue.aheartbeat(job)).cancel_requested
            assert len(await queue.aheartbeat_many([job])) == 1
            await queue.aack(job, "done")
            assert await queue.await_for(first) == "done"
            assert (await queue.aget_job(first)).logs[0].message == "half"
            [failing] = await queue.apull("q")
            await queue.afail(failing, "broken", retry=False)
            assert len(await queue.aattempts(failing)) == 1
            await queue.aretry(failing)
            assert await queue.aretry_many([failing]) == 0
            released, _ = await queue.apull("q", count=2)
            await queue.arelease(released)
            assert await queue.acancel(released) is JobState.CANCELLED
            await queue.adelete(released)
            assert (await queue.ahousekeep()).stalled == 0
            assert [info.name for info in await queue.aqueues()] == ["q"]
            assert (await queue.astats("q")).active == 1
            assert len((await queue.alist_jobs(queue="q")).jobs) == 2
            await queue.apause("q")
            await queue.aresume("q")
            assert await queue.aretry_dlq("q") == 0
            assert await queue.apurge("q") == 1
            with pytest.raises(JobNotFound):
                await queue.aack(first)

    asyncio.run(live())


def test_pushes_of_several_loops_and_threads_are_all_there(path: Path) -> None:
    with PyQueue(path) as queue:

        async def push_many_tasks(name: str) -> list[str]:
            return await asyncio.gather(*(queue.apush("q", name, number) for number in range(250)))

        results: list[list[str]] = []
        threads = [
            threading.Thread(target=lambda each=each: results.append(asyncio.run(push_many_tasks(each))))
            for each in ("a", "b", "c")
        ]
        for thread in threads:
            thread.start()
        results.append([queue.push("q", "sync", number) for number in range(100)])
        for thread in threads:
            thread.join()

        ids = [job_id for result in results for job_id in result]
        assert len(set(ids)) == 850
        assert queue.stats("q").waiting == 850
        for result in results:
            assert result == sorted(result), "the order of each caller is kept"


def test_each_task_gets_its_own_error(path: Path) -> None:
    async def push_all() -> list[str | BaseException]:
        async with PyQueue(path) as queue:
            return await asyncio.gather(
                *(queue.apush("q", "n", unique_key=str(number // 2)) for number in range(20)), return_exceptions=True
            )

    outcomes = asyncio.run(push_all())

    assert [isinstance(outcome, DuplicateKey) for outcome in outcomes] == [False, True] * 10


def test_a_cancelled_task_does_not_disturb_its_neighbours(path: Path) -> None:
    async def push_and_cancel() -> int:
        async with PyQueue(path) as queue:
            tasks = [asyncio.create_task(queue.apush("q", "n", number)) for number in range(50)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, str) for outcome in outcomes[1::2])
            return (await queue.astats("q")).waiting

    assert asyncio.run(push_and_cancel()) >= 25


def test_a_loop_that_closes_before_the_commit_harms_nobody(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "first")

        async def leave_behind() -> None:
            task = asyncio.ensure_future(queue.apush("q", "n"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()

        with all_writers_taken(queue):
            asyncio.run(leave_behind())

        assert queue.push("q", "after")
        assert [job.name for job in queue.pull("q")] == ["first"]


def test_a_cancelled_long_poll_passes_its_wake_up_on(path: Path) -> None:
    async def two_wait_one_leaves() -> list[str]:
        async with PyQueue(path) as queue:
            leaving = asyncio.create_task(queue.apull("q", wait_ms=10_000))
            staying = asyncio.create_task(queue.apull("q", wait_ms=10_000))
            while len(queue._runtime.wakeups._waiters) < 2:
                await asyncio.sleep(0.001)
            await queue.apush("q", "n")
            leaving.cancel()
            outcomes = await asyncio.gather(leaving, staying, return_exceptions=True)
            return [job.name for outcome in outcomes if isinstance(outcome, list) for job in outcome]

    assert asyncio.run(two_wait_one_leaves()) == ["n"]


def test_a_job_pulled_for_a_cancelled_task_is_given_back(path: Path) -> None:
    async def pull_and_cancel() -> set[str]:
        async with PyQueue(path) as queue:
            await queue.apush_many("q", [{"name": "n"}] * 20)
            for _ in range(20):
                task = asyncio.create_task(queue.apull("q"))
                with all_writers_taken(queue):
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            # What a cancelled task had is given back a moment later, by the thread that commits.
            back: list[Job] = []
            while len(back) < 20:
                more = await queue.apull("q", count=20 - len(back), wait_ms=5_000)
                assert more, f"only {len(back)} of the 20 jobs came back"
                back += more
            return {job.id for job in back}

    assert len(asyncio.run(pull_and_cancel())) == 20


def test_waiting_for_a_job_times_out(path: Path) -> None:
    async def wait() -> None:
        async with PyQueue(path) as queue:
            with pytest.raises(WaitTimeout):
                await queue.await_for(await queue.apush("q", "n"), timeout=0.01)

    asyncio.run(wait())


def test_a_closed_handle_says_so(path: Path) -> None:
    async def use_after_close() -> None:
        queue = PyQueue(path)
        await queue.apush("q", "n")
        await queue.aclose()
        with pytest.raises(QueueClosed):
            await queue.apush("q", "n")

    asyncio.run(use_after_close())
