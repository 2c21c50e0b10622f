"""Batches: any number of jobs, and callbacks that run once, when the last of them has ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, TypedDict

import pytest

from pyqueue import Batch, Job, PyQueue, Tasks
from pyqueue.core.errors import InvalidState, ValidationError
from pyqueue.core.flows.batch import CHUNK
from pyqueue.core.tasks.call import PREVIOUS, Call

tasks = Tasks()


@tasks.task(queue="after")
def tell(what: str) -> str:
    return what


@tasks.task(queue="work")
def work(number: int) -> int:
    return number


@pytest.fixture(autouse=True)
def included(queue: PyQueue) -> None:
    tasks._outer = None  # Each test has a queue of its own.
    queue.include(tasks)


class Callbacks(TypedDict):
    on_complete: Call[Any]
    on_failure: Call[Any]
    on_end: Call[Any]


def callbacks() -> Callbacks:
    return {"on_complete": tell.call("complete"), "on_failure": tell.call("failure"), "on_end": tell.call("end")}


def ready(queue: PyQueue) -> list[str]:
    """The callbacks that may run now."""
    return sorted(job.data["what"] for job in queue.list_jobs(queue="after", state="waiting").jobs)


def taken(queue: PyQueue, count: int) -> list[Job]:
    jobs = queue.pull("work", count=count)
    assert len(jobs) == count
    return jobs


@pytest.mark.parametrize("is_closed_first", [True, False])
def test_when_all_complete_the_callbacks_for_that_run(queue: PyQueue, is_closed_first: bool) -> None:
    batch = queue.batch("b", **callbacks())
    for number in range(3):
        batch.add(work.call(number))
    batch.flush()
    jobs = taken(queue, 3)

    if is_closed_first:
        batch.close()
    queue.ack_many(jobs)
    if not is_closed_first:
        assert ready(queue) == [], "more jobs might be added"
        batch.close()

    assert ready(queue) == ["complete", "end"]
    assert queue.stats("after").cancelled == 1


@pytest.mark.parametrize("is_closed_first", [True, False])
def test_when_one_fails_the_callbacks_for_that_run_once_the_last_has_ended(
    queue: PyQueue, is_closed_first: bool
) -> None:
    batch = queue.batch("b", **callbacks())
    batch.add_many("work", [{"name": "n"}] * 3)
    one, *others = taken(queue, 3)
    if is_closed_first:
        batch.close()

    queue.fail(one, "broken", retry=False)
    assert ready(queue) == []
    queue.ack_many(others)
    if not is_closed_first:
        assert ready(queue) == []
        batch.close()

    assert ready(queue) == ["end", "failure"]
    assert queue.stats("after").cancelled == 1


def test_a_batch_whose_failure_is_retried_completes_after_all(queue: PyQueue) -> None:
    with queue.batch("b", on_complete=tell.call("complete")) as batch:
        batch.add_many("work", [{"name": "n"}] * 2)
    one, other = taken(queue, 2)
    queue.fail(one, "broken", retry=False)
    queue.ack(other)
    assert batch.status().is_finished

    queue.retry(one)
    assert (batch.status().progress, queue.stats("after").blocked) == (33, 1)
    queue.ack(taken(queue, 1)[0])

    assert ready(queue) == ["complete"]


def test_jobs_are_stored_in_chunks_and_run_at_once(queue: PyQueue) -> None:
    with queue.batch(on_end=tell.call("end")) as batch:
        for number in range(CHUNK + 1):
            batch.add(work.call(number))
        assert batch.status().counts.waiting == CHUNK
        queue.ack_many(taken(queue, CHUNK))
        assert batch.status().progress == 99
    queue.ack_many(taken(queue, 1))

    assert ready(queue) == ["end"]
    assert batch.status().counts.completed == CHUNK + 1


def test_an_empty_batch_ends_when_it_is_closed(queue: PyQueue) -> None:
    with queue.batch(**callbacks()):
        pass

    assert ready(queue) == ["complete", "end"]


def test_a_batch_needs_no_callbacks(queue: PyQueue) -> None:
    with queue.batch("b") as batch:
        batch.add("work", "n", {"a": 1}, priority=3)

    assert batch.status().counts.waiting == 1
    assert taken(queue, 1)[0].priority == 3


def test_an_error_in_the_block_cancels_what_has_not_started(queue: PyQueue) -> None:
    with suppress(RuntimeError), queue.batch("b", **callbacks()) as batch:
        batch.add_many("work", [{"name": "n"}] * 3)
        taken(queue, 1)
        raise RuntimeError("source is gone")

    counts = batch.status().counts
    assert (counts.active, counts.cancelled) == (1, 5)


@pytest.mark.parametrize("end", ["closed", "cancelled"])
def test_a_batch_that_is_over_takes_no_more(queue: PyQueue, end: str) -> None:
    batch = queue.batch("b", **callbacks())
    batch.flush()
    batch.close() if end == "closed" else queue.cancel_flow("b")
    batch.close()

    with pytest.raises(InvalidState, match="closed or cancelled"):
        batch.add_many("work", [{"name": "n"}])

    assert queue.stats("work").total == 0


def test_a_job_of_the_batch_adds_further_ones(queue: PyQueue) -> None:
    begun = queue.batch("b", **callbacks())
    begun.add(work.call(1))
    begun.flush()
    [job] = taken(queue, 1)

    queue.open_batch("b").add_many("work", [{"name": "n"}] * 2)
    queue.ack(job)
    queue.open_batch("b").close()
    assert ready(queue) == []
    queue.ack_many(taken(queue, 2))

    assert ready(queue) == ["complete", "end"]


@pytest.mark.parametrize("how", ["cancelled", "deleted", "purged", "removed", "skipped"])
def test_members_that_end_in_other_ways_are_not_waited_for(queue: PyQueue, how: str) -> None:
    done = queue.push("other", "n")
    queue.ack(queue.pull("other")[0])
    options: dict[str, Any] = {}
    if how == "removed":
        options = {"remove_on_complete": True}
    if how == "skipped":
        options = {"depends_on": [done], "on_parent_failure": "only"}
    with queue.batch("b", **callbacks()) as batch:
        batch.add_many("work", [{"name": "n", **options}])
    [member] = queue.list_jobs(queue="work").jobs

    match how:
        case "cancelled":
            queue.cancel(member)
        case "deleted":
            queue.delete(member)
        case "purged":
            queue.purge("work")
        case "removed":
            queue.ack(taken(queue, 1)[0])

    assert ready(queue) == (["complete", "end"] if how == "removed" else ["end", "failure"])


def test_a_batch_is_filled_on_an_event_loop(queue: PyQueue) -> None:
    async def fill() -> Batch:
        async with queue.batch("b", **callbacks()) as batch:
            for number in range(CHUNK + 1):
                await batch.aadd(work.call(number))
            await batch.aadd_many("work", [{"name": "n"}] * 2)
        with suppress(RuntimeError):
            async with queue.batch("c") as other:
                await other.aadd_many("work", [{"name": "n"}])
                raise RuntimeError
        assert (await (await queue.aopen_batch("c")).astatus()).counts.cancelled == 1
        return batch

    batch = asyncio.run(fill())

    assert batch.status().counts.waiting == CHUNK + 3


def test_what_belongs_into_a_flow_is_refused(queue: PyQueue) -> None:
    batch = queue.batch()

    with pytest.raises(ValidationError, match="takes the result of another job"):
        batch.add(work.call(PREVIOUS))
    with pytest.raises(ValidationError, match="takes the result of another job"):
        queue.batch(on_end=tell.call(PREVIOUS))
    with pytest.raises(ValidationError, match="ref of a job of a batch"):
        batch.add_many("work", [{"name": "n", "ref": "r"}])
