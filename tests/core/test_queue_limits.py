"""Limits of queues and keys: what they hold, what they let through, and how they let go."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from pyqueue import PyQueue, QueueLimit
from pyqueue.core.engine.processes import ForgetLimits
from pyqueue.core.errors import RateLimited, ValidationError
from pyqueue.core.store import limits as stored
from pyqueue.testing import FakeClock


def fill(queue: PyQueue, name: str, number: int, **options: Any) -> list[str]:
    return queue.push_many(name, [{"name": "n", **options} for _ in range(number)])


# --- concurrency --------------------------------------------------------------------------------------


def test_no_more_jobs_of_a_queue_run_at_once_than_its_limit(queue: PyQueue) -> None:
    queue.set_limit("q", concurrency=3)
    fill(queue, "q", 10)

    first = queue.pull("q", count=2)
    second = queue.pull("q", count=5)

    assert [len(first), len(second), len(queue.pull("q"))] == [2, 1, 0]


@pytest.mark.parametrize("end", ["ack", "ack_many", "fail", "release", "lapse"])
def test_a_slot_is_free_again_when_its_run_ends(queue: PyQueue, clock: FakeClock, end: str) -> None:
    queue.set_limit("q", concurrency=1)
    fill(queue, "q", 2)
    [job] = queue.pull("q", lease_ms=1_000)
    assert queue.pull("q") == []

    match end:
        case "ack":
            queue.ack(job)
        case "ack_many":
            queue.ack_many([job])
        case "fail":
            queue.fail(job, "broken")
        case "release":
            queue.release(job)
        case "lapse":
            clock.advance(ms=1_001)

    assert len(queue.pull("q", count=5)) == 1


def test_runs_that_began_before_the_limit_count(queue: PyQueue) -> None:
    fill(queue, "q", 5)
    before = queue.pull("q", count=2)

    queue.set_limit("q", concurrency=3)

    assert len(queue.pull("q", count=5)) == 1
    queue.ack_many(before)
    assert len(queue.pull("q", count=5)) == 2


def test_a_limit_that_is_taken_away_holds_no_longer(queue: PyQueue) -> None:
    queue.set_limit("q", concurrency=1)
    fill(queue, "q", 4)
    queue.pull("q")

    assert queue.clear_limit("q")

    assert len(queue.pull("q", count=9)) == 3
    assert not queue.clear_limit("q")
    assert queue.limits() == []


def test_other_queues_know_nothing_of_a_limit(queue: PyQueue) -> None:
    queue.set_limit("q", concurrency=1)
    fill(queue, "q", 3)
    fill(queue, "other", 3)

    assert len(queue.pull(["q", "other"], count=9)) == 4


# --- keys -----------------------------------------------------------------------------------------------


def test_each_key_has_its_own_slots_and_jobs_without_a_key_have_no_limit(queue: PyQueue) -> None:
    fill(queue, "q", 2)
    queue.set_limit("q", key="*", concurrency=2)
    for key in "ab":
        fill(queue, "q", 5, limit_key=key)
    fill(queue, "q", 2)

    jobs = queue.pull("q", count=50)

    assert sorted(str(job.limit_key) for job in jobs) == ["None"] * 4 + ["a"] * 2 + ["b"] * 2
    assert queue.get_job(jobs[0]).limit_key == jobs[0].limit_key


def test_a_key_may_have_a_limit_of_its_own(queue: PyQueue) -> None:
    queue.set_limit("q", key="*", concurrency=1)
    queue.set_limit("q", key="big", concurrency=3)
    for key in ("big", "small"):
        fill(queue, "q", 5, limit_key=key)

    assert sorted(str(job.limit_key) for job in queue.pull("q", count=50)) == ["big"] * 3 + ["small"]


def test_the_limits_of_queue_and_key_hold_together(queue: PyQueue) -> None:
    queue.set_limit("q", concurrency=3)
    queue.set_limit("q", key="*", concurrency=2)
    fill(queue, "q", 5, limit_key="a")

    assert len(queue.pull("q", count=9)) == 2
    fill(queue, "q", 5, limit_key="b")
    assert [job.limit_key for job in queue.pull("q", count=9)] == ["b"]


@pytest.mark.parametrize("flood", [10, 1_000])
def test_a_held_key_keeps_nothing_back_however_many_jobs_it_has(queue: PyQueue, flood: int) -> None:
    queue.set_limit("q", key="*", concurrency=1)
    fill(queue, "q", flood, limit_key="flood", priority=5)
    late = fill(queue, "q", 2, limit_key="late")
    plain = queue.push("q", "plain")
    queue.pull("q")

    jobs = queue.pull("q", count=3)

    assert {job.id for job in jobs} == {late[0], plain}


def test_keys_take_turns_where_the_queue_is_the_bottleneck(queue: PyQueue) -> None:
    queue.set_limit("q", concurrency=1)
    fill(queue, "q", 20, limit_key="flood")
    fill(queue, "q", 5, limit_key="late")

    order = []
    for _ in range(10):
        [job] = queue.pull("q")
        order.append(job.limit_key)
        queue.ack(job)

    assert order.count("late") == 5


@pytest.mark.parametrize("flood", [5, 200])
def test_priority_and_age_order_what_is_not_held(queue: PyQueue, flood: int) -> None:
    queue.set_limit("q", key="held", concurrency=1)
    fill(queue, "q", flood, limit_key="held", priority=9)
    queue.pull("q")
    low = queue.push("q", "n", limit_key="a")
    high = queue.push("q", "n", limit_key="b", priority=2)
    middle = queue.push("q", "n", priority=1)
    newest = queue.push("q", "n", limit_key="a", priority=1, lifo=True)

    assert [job.id for job in queue.pull("q", count=9)] == [high, newest, middle, low]


def test_jobs_that_come_back_are_held_by_their_key(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_limit("q", key="*", concurrency=1)
    dead = queue.push("q", "n", max_attempts=1)
    queue.fail(queue.pull("q")[0], "broken")
    keyed = queue.push("q", "n", limit_key="a", delay_ms=5)
    clock.advance(ms=6)
    queue.retry(dead)

    jobs = queue.pull("q", count=9)

    assert [job.id for job in jobs] == [dead, keyed]
    queue.push("q", "n", limit_key="a")
    assert queue.pull("q") == []


def test_a_job_from_before_the_limits_is_found_behind_a_flood(queue: PyQueue) -> None:
    dead = queue.push("q", "n", max_attempts=1)
    queue.fail(queue.pull("q")[0], "broken")
    queue.set_limit("q", key="*", concurrency=1)
    fill(queue, "q", 500, limit_key="flood", priority=1)
    queue.pull("q")

    queue.retry(dead)

    assert [job.id for job in queue.pull("q")] == [dead]


# --- rates ------------------------------------------------------------------------------------------------


def test_a_rate_lets_a_burst_begin_and_then_as_many_as_time_allows(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_limit("q", rate=50, burst=5)
    fill(queue, "q", 100)

    assert len(queue.pull("q", count=100)) == 5
    clock.advance(ms=19)
    assert queue.pull("q", count=100) == []
    clock.advance(ms=1)
    assert len(queue.pull("q", count=100)) == 1
    clock.advance(ms=60)
    assert len(queue.pull("q", count=100)) == 3
    clock.advance(seconds=60)
    assert len(queue.pull("q", count=100)) == 5


def test_each_key_has_its_own_rate(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_limit("q", key="*", rate=1, per_ms=60_000)
    for key in "ab":
        fill(queue, "q", 3, limit_key=key)

    assert sorted(str(job.limit_key) for job in queue.pull("q", count=9)) == ["a", "b"]
    assert queue.pull("q", count=9) == []
    clock.advance(seconds=60)
    assert len(queue.pull("q", count=9)) == 2


def test_a_job_that_failed_needs_another_token(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_limit("q", rate=1, per_ms=1_000)
    queue.push("q", "n", backoff_delay_ms=0)

    queue.fail(queue.pull("q")[0], "broken")

    assert queue.pull("q") == []
    clock.advance(ms=1_000)
    assert len(queue.pull("q")) == 1


def test_full_buckets_leave_no_rows_behind(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_limit("q", key="*", rate=1)
    for number in range(20):
        queue.push("q", "n", limit_key=f"k{number}")
    queue.pull("q", count=20)
    assert len(queue._runtime.read(lambda tx: stored.buckets(tx, "q"))) == 20

    clock.advance(seconds=2)

    assert queue._runtime.write(ForgetLimits(100)) == 20


# --- pushes -----------------------------------------------------------------------------------------------


def test_pushes_beyond_their_limit_are_refused_and_nothing_is_stored(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_push_limit("q", rate=2.5)
    fill(queue, "q", 2)

    with pytest.raises(RateLimited, match=r"at most 3 at once; 2 more can be pushed from 00:00:00\.4"):
        fill(queue, "q", 2)
    with pytest.raises(RateLimited, match="Push fewer at a time"):
        fill(queue, "q", 4)

    assert queue.stats("q").total == 2
    clock.advance(ms=400)
    fill(queue, "q", 2)
    assert queue.push("other", "n")


def test_a_refused_push_costs_no_token(queue: PyQueue) -> None:
    queue.set_push_limit("q", rate=1, burst=2)
    queue.push("q", "n", unique_key="k")

    for _ in range(3):
        with pytest.raises(Exception, match="held by job"):
            queue.push("q", "n", unique_key="k")

    assert queue.push("q", "n", unique_key="other")
    with pytest.raises(RateLimited):
        queue.push("q", "n")


def test_pushes_of_many_threads_share_the_limit(path: Any) -> None:
    with PyQueue(path) as queue:
        queue.set_push_limit("q", rate=1, per_ms=3_600_000, burst=20)
        refused = []

        def push() -> None:
            for _ in range(10):
                try:
                    queue.push("q", "n")
                except RateLimited as error:
                    refused.append(error)

        threads = [threading.Thread(target=push) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (queue.stats("q").waiting, len(refused)) == (20, 60)
        assert queue.clear_push_limit("q")
        assert queue.push("q", "n")


# --- waiting ------------------------------------------------------------------------------------------------


def test_a_waiting_pull_is_woken_when_a_slot_is_free(path: Any) -> None:
    with PyQueue(path) as queue:
        queue.set_limit("q", key="*", concurrency=1)
        fill(queue, "q", 2, limit_key="a")
        [job] = queue.pull("q")
        threading.Timer(0.2, queue.ack, (job,)).start()
        started = time.monotonic()

        assert len(queue.pull("q", wait_ms=20_000)) == 1
        assert 0.1 < time.monotonic() - started < 5


def test_a_waiting_pull_is_woken_when_a_token_is_there(path: Any) -> None:
    with PyQueue(path) as queue:
        queue.set_limit("q", rate=4, burst=1)
        fill(queue, "q", 4)
        started = time.monotonic()

        for _ in range(4):
            assert len(queue.pull("q", wait_ms=20_000)) == 1

        assert 0.74 < time.monotonic() - started < 5


@pytest.mark.parametrize("let_go", ["clear_limit", "set_limit"])
def test_a_waiting_pull_is_woken_when_the_limit_changes(path: Any, let_go: str) -> None:
    with PyQueue(path) as queue:
        queue.set_limit("q", concurrency=1)
        fill(queue, "q", 2)
        queue.pull("q")
        more = {"concurrency": 2} if let_go == "set_limit" else {}
        threading.Timer(0.1, getattr(queue, let_go), ("q",), more).start()

        assert len(queue.pull("q", wait_ms=20_000)) == 1


def test_a_waiting_pull_does_not_spin(path: Any) -> None:
    with PyQueue(path) as queue:
        queue.set_limit("q", concurrency=1)
        fill(queue, "q", 5)
        queue.pull("q")
        worked = time.thread_time()

        assert queue.pull("q", wait_ms=500) == []

        assert time.thread_time() - worked < 0.1


# --- what is set --------------------------------------------------------------------------------------------


def test_limits_are_listed_and_shown_with_their_queues(queue: PyQueue) -> None:
    queue.set_limit("q", concurrency=3, rate=10, burst=2)
    queue.set_limit("q", key="*", concurrency=1)
    queue.set_limit("q", key="a", rate=0.5, per_ms=60_000)
    queue.set_push_limit("p", rate=7)

    found = queue.limits()

    assert found == [
        QueueLimit("p", None, None, 7.0, 1_000, 7, limits_pushes=True),
        QueueLimit("q", None, 3, 10.0, 1_000, 2),
        QueueLimit("q", "*", 1, None, None, None),
        QueueLimit("q", "a", None, 0.5, 60_000, 1),
    ]
    assert queue.limits("p") == found[:1]
    assert {info.name: info.limits for info in queue.queues()} == {"p": tuple(found[:1]), "q": tuple(found[1:])}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "neither concurrency nor rate"),
        ({"concurrency": 0}, "concurrency 0"),
        ({"concurrency": 1.5}, "concurrency 1.5"),
        ({"rate": 0}, "rate 0 per"),
        ({"rate": -1}, "rate -1 per"),
        ({"rate": float("nan")}, "rate nan"),
        ({"rate": True}, "rate True"),
        ({"rate": 10**9}, "rate 1000000000"),
        ({"rate": 1, "per_ms": 0}, "per_ms 0"),
        ({"concurrency": 1, "burst": 2}, "burst without a rate"),
        ({"concurrency": 1, "key": ""}, "non-empty"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(queue: PyQueue, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        queue.set_limit("q", **wrong)

    assert queue.limits() == []


def test_no_job_has_the_key_that_stands_for_each(queue: PyQueue) -> None:
    with pytest.raises(ValidationError, match="stands for each key"):
        queue.push("q", "n", limit_key="*")
