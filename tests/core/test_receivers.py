"""Receivers of signals: what they are told, when, and that none of it can harm a job."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue, signals
from pyqueue.core.errors import DuplicateKey, PyQueueError, QueuePaused, ValidationError
from pyqueue.core.signals import BY_EVENT, JobChange
from pyqueue.core.transitions import TRANSITIONS, Event
from pyqueue.testing import FakeClock
from tests.core.test_signals import recording


def push(queue: PyQueue) -> str:
    return queue.push("q", "n")


def run(queue: PyQueue) -> str:
    job_id = push(queue)
    queue.pull("q", worker_id="w", lease_ms=1_000)
    return job_id


def due(queue: PyQueue, clock: FakeClock, ms: int) -> None:
    clock.advance(ms=ms)
    queue.housekeep()


def cause(event: Event, queue: PyQueue, clock: FakeClock) -> None:
    """Makes an event happen."""
    match event:
        case Event.PUSH:
            push(queue)
        case Event.PULL:
            run(queue)
        case Event.ACK:
            queue.ack(run(queue))
        case Event.FAIL:
            queue.fail(run(queue), "broken")
        case Event.RELEASE:
            queue.release(run(queue))
        case Event.CANCEL:
            queue.cancel(push(queue))
        case Event.DELETE:
            queue.delete(push(queue))
        case Event.RETRY:
            job_id = push(queue)
            queue.cancel(job_id)
            queue.retry(job_id)
        case Event.PROMOTE:
            queue.push("q", "n", delay_ms=1)
            due(queue, clock, 1)
        case Event.EXPIRE:
            queue.push("q", "n", ttl_ms=1)
            due(queue, clock, 1)
        case Event.STALL:
            run(queue)
            due(queue, clock, 1_000)
        case Event.TIMEOUT:
            queue.push("q", "n", timeout_ms=5)
            queue.pull("q", worker_id="w")
            due(queue, clock, 5)
        case Event.UNBLOCK:
            parent = run(queue)
            queue.push("q", "n", depends_on=[parent])
            queue.ack(parent)
        case Event.REPLACE:
            for _ in range(2):
                queue.push("q", "n", unique_key="k", unique_mode="replace")
        case Event.CASCADE:
            parent = push(queue)
            queue.push("q", "n", depends_on=[parent])
            queue.cancel(parent)


# The state that each of them leads to, and a part of the error it carries.
SENT: dict[Event, tuple[JobState | None, str | None]] = {
    Event.PUSH: (JobState.WAITING, None),
    Event.PULL: (JobState.ACTIVE, None),
    Event.ACK: (JobState.COMPLETED, None),
    Event.FAIL: (JobState.DELAYED, "broken"),
    Event.RELEASE: (JobState.WAITING, None),
    Event.CANCEL: (JobState.CANCELLED, None),
    Event.DELETE: (None, None),
    Event.RETRY: (JobState.WAITING, None),
    Event.PROMOTE: (JobState.WAITING, None),
    Event.EXPIRE: (JobState.CANCELLED, "expired"),
    Event.STALL: (JobState.DELAYED, "stalled"),
    Event.TIMEOUT: (JobState.DELAYED, "timed out"),
    Event.UNBLOCK: (JobState.WAITING, None),
    Event.REPLACE: (JobState.WAITING, None),
    Event.CASCADE: (JobState.CANCELLED, "parent job"),
}
KNOWN_WORKER = (Event.PULL, Event.FAIL, Event.RELEASE, Event.STALL, Event.TIMEOUT)


def test_every_event_is_in_the_table() -> None:
    assert set(SENT) == set(TRANSITIONS)


@pytest.mark.parametrize("event", SENT)
def test_each_event_is_sent_once_with_what_was_committed(queue: PyQueue, clock: FakeClock, event: Event) -> None:
    state, error = SENT[event]
    with recording(queue) as seen:
        cause(event, queue, clock)

    [change] = [each for each in seen if each.event is event]
    assert (change.queue, change.state, change.at) == ("q", state, clock.now)
    assert (change.worker_id == "w") == (event in KNOWN_WORKER)
    assert change.error is None if error is None else error in str(change.error)
    if state is not None:
        assert queue.get_job(change.job_id).state is state


def test_each_event_is_sent_by_the_signal_its_rule_names() -> None:
    for event, rule in TRANSITIONS.items():
        assert BY_EVENT[event] is getattr(signals, rule.signal)


def test_a_receiver_sees_the_committed_job_and_may_use_the_queue(queue: PyQueue) -> None:
    def follow_up(sender: PyQueue, change: JobChange) -> None:
        assert sender.get_job(change.job_id).state is JobState.COMPLETED
        sender.push("follow-ups", "n", {"after": change.job_id})

    with signals.job_completed.connected_to(follow_up, sender=queue):
        job_id = run(queue)
        queue.ack(job_id)
        assert queue._runtime.announcer.drain(5)

    assert queue.pull("follow-ups")[0].data == {"after": job_id}


def test_receivers_of_one_handle_hear_nothing_of_another(path: Path) -> None:
    with PyQueue(path) as queue, PyQueue(path) as other, recording(queue) as ours, recording(other) as theirs:
        mine, yours = queue.push("q", "n"), other.push("q", "n")

    assert [change.job_id for change in ours] == [mine]
    assert [change.job_id for change in theirs] == [yours]


def test_a_receiver_without_a_sender_hears_all_handles(path: Path) -> None:
    heard: list[str] = []

    def receive(_: PyQueue, change: JobChange) -> None:
        heard.append(change.job_id)

    with PyQueue(path) as queue, PyQueue(path) as other, signals.job_pushed.connected_to(receive):
        ids = {queue.push("q", "n"), other.push("q", "n")}
        assert queue._runtime.announcer.drain(5)
        assert other._runtime.announcer.drain(5)

    assert set(heard) == ids


def test_changes_are_told_in_the_order_of_their_commits(queue: PyQueue) -> None:
    with recording(queue) as seen:
        for _ in range(20):
            queue.ack(run(queue))

    events = [change.event for change in seen]
    assert events == [Event.PUSH, Event.PULL, Event.ACK] * 20


REFUSED: dict[type[PyQueueError], Callable[[PyQueue], object]] = {
    ValidationError: lambda queue: queue.push_many("q", [{"name": "n"}, {"name": ""}]),
    DuplicateKey: lambda queue: queue.push_many("q", [{"name": "n"}, {"name": "n", "unique_key": "k"}]),
    QueuePaused: lambda queue: queue.push("paused", "n"),
}


@pytest.mark.parametrize("error", REFUSED)
def test_a_refused_push_is_not_announced(queue: PyQueue, error: type[PyQueueError]) -> None:
    queue.push("q", "holder", unique_key="k")
    queue.pause("paused")
    with recording(queue) as seen, pytest.raises(error):
        REFUSED[error](queue)

    assert seen == []


@pytest.mark.sqlite("a sqlite3 connection")
def test_a_rolled_back_transaction_is_not_announced(queue: PyQueue, path: Path) -> None:
    queue.push("q", "n")
    with recording(queue) as seen:
        connection = sqlite3.connect(path)
        queue.on(connection).push("q", "n")
        connection.rollback()
        connection.close()

    assert seen == []


def test_a_receiver_that_never_ends_keeps_neither_jobs_nor_close_waiting_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def stuck(_: PyQueue, change: JobChange) -> None:
        gate.wait(60)

    with PyQueue(path) as queue, signals.job_pushed.connected_to(stuck, sender=queue):
        for _ in range(100):
            queue.push("q", "n")
        assert len(queue.pull("q", count=100)) == 100
        assert not queue._runtime.announcer.drain(0.01)
        gate.set()
        assert queue._runtime.announcer.drain(5)


def test_close_waits_for_what_was_announced(path: Path) -> None:
    heard: list[str] = []

    def receive(_: PyQueue, change: JobChange) -> None:
        heard.append(change.job_id)

    with signals.job_pushed.connected_to(receive), PyQueue(path) as queue:
        ids = queue.push_many("q", [{"name": "n"}] * 500)

    assert heard == ids
