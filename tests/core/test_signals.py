"""Signals: one for every transition, after its commit, and no receiver harms anybody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyqueue import JobState, PyQueue, signals
from pyqueue.core.errors import InvalidState
from pyqueue.core.signals import BY_EVENT, JobChange
from pyqueue.core.transitions import TRANSITIONS, Event
from pyqueue.testing import FakeClock


@contextmanager
def recording(queue: PyQueue) -> Iterator[list[JobChange]]:
    """Everything announced while the block runs."""
    seen: list[JobChange] = []

    def receive(sender: PyQueue, change: JobChange) -> None:
        assert sender is queue
        seen.append(change)

    for signal in set(BY_EVENT.values()):
        signal.connect(receive, sender=queue)
    try:
        yield seen
        assert queue._runtime.announcer.drain(5)
    finally:
        for signal in set(BY_EVENT.values()):
            signal.disconnect(receive, sender=queue)


def test_every_transition_has_its_signal(queue: PyQueue, clock: FakeClock) -> None:
    with recording(queue) as seen:
        parent = queue.push("q", "parent")
        child = queue.push("q", "child", depends_on=[parent], max_attempts=1)
        orphan = queue.push("q", "orphan", depends_on=[child])
        queue.ack(queue.pull("q", worker_id="w")[0])
        queue.release(queue.pull("q")[0])
        queue.fail(queue.pull("q")[0], "broken")
        queue.retry(child)
        queue.cancel(child)
        queue.delete(orphan)
        queue.push("q", "late", delay_ms=1)
        queue.push("q", "mayfly", ttl_ms=1)
        clock.advance(ms=1)
        queue.pull("q", lease_ms=10)
        for _ in range(2):
            queue.push("q", "slow", timeout_ms=5, unique_key="k", unique_mode="replace")
        queue.pull("q")
        clock.advance(ms=10)
        queue.housekeep()

    assert {change.event for change in seen} == set(TRANSITIONS)
    pulled = next(change for change in seen if change.event is Event.PULL)
    assert (pulled.job_id, pulled.queue, pulled.state, pulled.worker_id) == (parent, "q", JobState.ACTIVE, "w")
    failed = next(change for change in seen if change.event is Event.FAIL)
    assert (failed.error, failed.state, failed.at) == ("broken", JobState.DLQ, clock.now.replace(microsecond=0))


def test_a_batch_announces_each_job(queue: PyQueue) -> None:
    with recording(queue) as seen:
        ids = queue.push_many("q", [{"name": "n"}] * 30)
        queue.ack_many(queue.pull("q", count=30))

    for event in (Event.PUSH, Event.PULL, Event.ACK):
        assert [change.job_id for change in seen if change.event is event] == ids


def test_nothing_is_announced_for_a_refused_operation(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")
    with recording(queue) as seen, pytest.raises(InvalidState):
        queue.ack(job_id)

    assert seen == []


def test_a_receiver_that_raises_or_is_slow_harms_nobody(queue: PyQueue, caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    heard: list[str] = []

    def slow(_: PyQueue, change: JobChange) -> None:
        gate.wait(10)

    def broken(_: PyQueue, change: JobChange) -> None:
        raise ZeroDivisionError("a bug of the receiver")

    def fine(_: PyQueue, change: JobChange) -> None:
        heard.append(change.job_id)

    for receiver in (slow, broken, fine):
        signals.job_pushed.connect(receiver, sender=queue)
    try:
        ids = [queue.push("q", "n") for _ in range(5)]
        assert heard == []
        gate.set()
        assert queue._runtime.announcer.drain(5)
    finally:
        for receiver in (slow, broken, fine):
            signals.job_pushed.disconnect(receiver, sender=queue)

    assert heard == ids
    assert sum("a receiver of a signal failed" in record.message for record in caplog.records) == 5
