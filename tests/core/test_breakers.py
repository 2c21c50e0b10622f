"""Circuit breakers: a queue whose jobs fail in a row hands out no more for a while."""

from __future__ import annotations

import threading
from typing import Any

from pyqueue import BreakerChange, JobState, PyQueue, signals
from pyqueue.testing import FakeClock


def fill(queue: PyQueue, name: str, number: int, **options: Any) -> list[str]:
    return queue.push_many(name, [{"name": "n", **options} for _ in range(number)])


def fail_next(queue: PyQueue, error: str = "down") -> None:
    queue.fail(queue.pull("q")[0], error, delay_ms=0)


def test_failures_in_a_row_open_the_breaker_and_a_success_closes_it(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_breaker("q", failures=3, cooldown_ms=1_000)
    fill(queue, "q", 5, max_attempts=100)
    fail_next(queue)
    fail_next(queue)
    queue.ack(queue.pull("q")[0])
    for _ in range(3):
        fail_next(queue)

    assert queue.pull("q", count=9) == []
    [info] = queue.queues()
    assert info.breaker is not None
    assert (info.breaker.state, info.breaker.failures) == ("open", 3)

    clock.advance(ms=1_000)
    [trial] = queue.pull("q", count=9)
    assert queue.pull("q", count=9) == [], "one at a time, until it is known"
    queue.fail(trial, "still down", delay_ms=0)
    assert queue.pull("q") == []

    clock.advance(ms=1_000)
    queue.ack(queue.pull("q", count=9)[0])
    assert len(queue.pull("q", count=9)) == 3


def test_a_breaker_without_a_cooldown_waits_for_resume(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_breaker("q", failures=1, cooldown_ms=None)
    fill(queue, "q", 2)
    fail_next(queue)
    clock.advance(seconds=10**8)
    assert queue.pull("q") == []

    queue.resume("q")

    assert len(queue.pull("q", count=9)) == 2


def test_runs_that_were_given_back_or_discarded_are_no_failures(queue: PyQueue) -> None:
    queue.set_breaker("q", failures=1)
    fill(queue, "q", 3)

    queue.release(queue.pull("q")[0])
    queue.fail(queue.pull("q")[0], "not wanted", discard=True)

    assert len(queue.pull("q")) == 1
    queue.clear_breaker("q")
    assert [info.breaker for info in queue.queues()] == [None]


def test_lapsed_leases_open_the_breaker_too(queue: PyQueue, clock: FakeClock) -> None:
    queue.set_breaker("q", failures=2, cooldown_ms=60_000)
    fill(queue, "q", 9)
    queue.pull("q", count=2, lease_ms=100)
    clock.advance(ms=101)

    assert queue.pull("q") == []


def test_an_opened_breaker_is_told_by_a_signal(queue: PyQueue) -> None:
    heard: list[BreakerChange] = []
    told = threading.Event()

    def listen(_: object, change: BreakerChange) -> None:
        heard.append(change)
        told.set()

    signals.breaker_opened.connect(listen)
    queue.set_breaker("q", failures=1)
    fill(queue, "q", 1)

    fail_next(queue, "service unavailable")

    assert told.wait(10)
    signals.breaker_opened.disconnect(listen)
    assert [(change.queue, change.failures, change.error) for change in heard] == [("q", 1, "service unavailable")]
    assert heard[0].open_until is not None
    assert queue.get_job(queue.list_jobs().jobs[0]).state is JobState.WAITING


def test_a_waiting_pull_is_woken_for_the_trial(path: Any) -> None:
    with PyQueue(path) as queue:
        queue.set_breaker("q", failures=1, cooldown_ms=200)
        fill(queue, "q", 1)
        fail_next(queue)

        assert len(queue.pull("q", wait_ms=20_000)) == 1
