"""Why is it not running? Every answer, with its facts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyqueue import Explanation, PyQueue, Reason
from pyqueue.core.errors import JobNotFound
from pyqueue.core.presence import Presence
from pyqueue.testing import FakeClock


def introduce(queue: PyQueue, *tasks: str) -> None:
    """A worker of queue q says that it is there, and pulls nothing meanwhile."""
    presence = Presence(
        id="w1", name=None, host="h", pid=1, version="1", mode="threads", concurrency=1, queues=("q",), tasks=tasks,
        started_us=0,
    )  # fmt: skip
    queue.beat([], lease_ms=1_000, presence=presence)


def answer(queue: PyQueue, job: Any, reason: Reason, says: str, **facts: Any) -> Explanation:
    found = queue.explain(job)
    assert (found.reason, str(found)) == (reason, found.sentence)
    assert says in found.sentence, found.sentence
    assert found.facts | facts == found.facts
    assert asyncio.run(queue.aexplain(job)) == found
    return found


def test_a_job_of_a_paused_queue(queue: PyQueue) -> None:
    job = queue.push("q", "n")
    queue.pause("q", pulls=True)

    answer(queue, job, Reason.QUEUE_PAUSED, "Queue q is paused and hands out no jobs", name="n")


def test_a_job_that_is_not_due(queue: PyQueue) -> None:
    job = queue.push("q", "n", delay_ms=5_000)

    answer(queue, job, Reason.DELAYED, "not due before 2030-01-01T00:00:05Z", delay_until="2030-01-01T00:00:05Z")


def test_a_job_that_waits_for_another_try(queue: PyQueue) -> None:
    job = queue.push("q", "n")
    queue.fail(queue.pull("q")[0], "broken")

    answer(queue, job, Reason.DELAYED, "for attempt 2 of 3", attempt=1)


def test_a_job_that_waits_for_others(queue: PyQueue) -> None:
    parents = queue.push_many("q", [{"name": "n"}] * 2)
    job = queue.push("q", "n", depends_on=parents)
    queue.ack(queue.pull("q")[0])

    found = answer(queue, job, Reason.BLOCKED, f"It waits for {parents[1]} (waiting).")

    assert found.facts["waits_for"] == [{"id": parents[1], "state": "waiting"}]


def test_a_job_that_waits_for_many_names_some(queue: PyQueue) -> None:
    job = queue.push("q", "n", depends_on=queue.push_many("q", [{"name": "n"}] * 25))

    found = answer(queue, job, Reason.BLOCKED, " and more, 25 in all", blocked_by=25)

    assert len(found.facts["waits_for"]) == 10


def test_a_job_whose_queue_has_no_free_slot(queue: PyQueue) -> None:
    queue.set_limit("q", concurrency=2)
    jobs = queue.push_many("q", [{"name": "n"}] * 3)
    running = [job.id for job in queue.pull("q", count=9)]

    found = answer(queue, jobs[2], Reason.QUEUE_LIMIT, "queue q holds it: 2 of 2 in use by", concurrency=2, in_use=2)

    assert sorted(found.facts["held_by"]) == sorted(running)


def test_a_job_whose_key_has_no_free_slot(queue: PyQueue) -> None:
    queue.set_limit("q", key="*", concurrency=1)
    jobs = queue.push_many("q", [{"name": "n", "limit_key": "a"}] * 2)
    queue.pull("q")

    answer(queue, jobs[1], Reason.KEY_LIMIT, f"limit key a in queue q holds it: 1 of 1 in use by {jobs[0]}.")


def test_a_job_of_a_rate_that_is_used_up(queue: PyQueue) -> None:
    queue.set_limit("q", rate=1, per_ms=60_000)
    queue.set_limit("k", key="*", rate=1, per_ms=60_000)
    of_queue = queue.push_many("q", [{"name": "n"}] * 2)
    of_key = queue.push_many("k", [{"name": "n", "limit_key": "a"}] * 2)
    queue.pull(["q", "k"], count=9)

    answer(queue, of_queue[1], Reason.QUEUE_RATE, "used up until 2030-01-01T00:01:00Z", until="2030-01-01T00:01:00Z")
    answer(queue, of_key[1], Reason.KEY_RATE, "The rate of limit key a in queue k", limit_key="a")


def test_a_job_behind_an_open_breaker(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_breaker("q", failures=1, cooldown_ms=1_000)
    jobs = queue.push_many("q", [{"name": "n", "max_attempts": 1}] * 3)
    queue.fail(queue.pull("q")[0], "down")

    answer(queue, jobs[2], Reason.BREAKER_OPEN, "after 1 failures in a row, until 2030-01-01T00:00:01Z", failures=1)
    clock.advance(ms=1_000)
    queue.pull("q")
    answer(queue, jobs[2], Reason.BREAKER_OPEN, f"job {jobs[1]} tries whether it works", trial=jobs[1])


def test_a_job_that_no_worker_will_pull(queue: PyQueue) -> None:
    job = queue.push("q", "n")

    answer(queue, job, Reason.NO_WORKER, "No worker was heard of that pulls from queue q")


def test_a_job_that_no_worker_knows(queue: PyQueue) -> None:
    introduce(queue, "known", "other")
    job = queue.push("q", "unknown")

    answer(queue, job, Reason.NO_TASK, "knows a task named unknown", tasks=["known", "other"], workers=["w1"])
    answer(queue, queue.push("q", "known"), Reason.BEHIND_OTHERS, "1 job goes before it")


def test_the_next_job_and_those_behind_it(queue: PyQueue) -> None:
    introduce(queue)
    jobs = queue.push_many("q", [{"name": "n"}] * 3)
    first = queue.push("q", "n", priority=1)

    answer(queue, first, Reason.NEXT, "the next job of queue q", ahead=0)
    answer(queue, jobs[2], Reason.BEHIND_OTHERS, "3 jobs go before it in queue q", ahead=3)


def test_a_worker_that_was_not_heard_of_counts_no_longer(queue: PyQueue, clock: FakeClock) -> None:
    introduce(queue)
    job = queue.push("q", "n")
    clock.advance(seconds=31)

    answer(queue, job, Reason.NO_WORKER, "Start one")


@pytest.mark.parametrize("end", ["ack", "fail", "cancel", "run"])
def test_a_job_that_runs_or_is_over(queue: PyQueue, end: str) -> None:
    job_id = queue.push("q", "n", max_attempts=1)
    [job] = queue.pull("q", worker_id="w1") if end != "cancel" else [job_id]

    match end:
        case "ack":
            queue.ack(job)
            answer(queue, job_id, Reason.COMPLETED, "It is done: completed at 2030-01-01", worker_id="w1")
        case "fail":
            queue.fail(job, "a trace\nValueError: no")
            answer(queue, job_id, Reason.DEAD, "after 1 of 1 attempts: ValueError: no.", attempt=1)
        case "cancel":
            queue.cancel(job)
            answer(queue, job_id, Reason.CANCELLED, "It was cancelled at 2030")
        case "run":
            answer(queue, job_id, Reason.RUNNING, "by worker w1; its lease ends at 2030", worker_id="w1")
            queue.cancel(job_id)
            answer(queue, job_id, Reason.RUNNING, "and was asked to stop", cancel_requested=True)


def test_a_job_that_is_not_there(queue: PyQueue) -> None:
    job = queue.push("q", "n")
    queue.delete(job)

    with pytest.raises(JobNotFound):
        queue.explain(job)
