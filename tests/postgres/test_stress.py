"""Eight that work, step in and push at once on shared parents, keys and limits: nothing gets lost between them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyqueue import Job, PyQueue, PyQueueError
from pyqueue.core.errors import StorageError
from tests import servers
from tests.crash.faults import assert_sound

QUEUES = ["a", "b", "c"]
FLOWS = [f"flow-{number}" for number in range(6)]
KEYS = [f"key-{number}" for number in range(4)]
DRAIN_SECONDS = 60.0


def test_what_many_do_at_once_leaves_true_counts_and_nothing_stuck(url: str) -> None:
    _stress(url, seconds=5)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
def test_for_minutes_what_many_do_at_once_leaves_nothing_stuck(url: str) -> None:
    _stress(url, seconds=600)


def _stress(url: str, seconds: float) -> None:
    deadline, troubles = time.monotonic() + seconds, list[str]()
    with PyQueue(url) as queue:
        queue.set_limit("b", concurrency=6)
        queue.set_limit("c", key="*", concurrency=2)
    threads = [threading.Thread(target=_person, args=(url, number, deadline, troubles)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert troubles == []
    assert_sound(url)
    _assert_slots_are_free_or_taken(url)
    with PyQueue(url) as queue:
        _finish_all(queue)
        assert_sound(url)
        assert [info.counts for info in queue.queues() if info.counts.blocked or info.counts.waiting] == []


class _Hand:
    """What one of them may do; each call is an operation."""

    def __init__(self, queue: PyQueue, draw: random.Random) -> None:
        self.queue, self.draw = queue, draw
        self.runs: list[Job] = []
        self.known: list[str] = []

    def push_flow(self) -> None:
        """A few tops, and children that wait for several of them."""
        tops: list[dict[str, Any]] = [{"name": "top", "ref": f"t{number}"} for number in range(3)]
        middle = [
            {
                "name": "middle",
                "ref": f"m{number}",
                "depends_on": self.draw.sample(["t0", "t1", "t2"], 2),
                "on_parent_failure": self.draw.choice(["fail", "fail", "cancel", "run", "only"]),
            }
            for number in range(4)
        ]
        bottom = {"name": "bottom", "depends_on": ["m0", "m1", "m2", "m3"], "on_parent_failure": "run"}
        jobs = [{**job, "flow_id": self.draw.choice(FLOWS), "max_attempts": 1} for job in (*tops, *middle, bottom)]
        self.known += self.queue.push_many(self.draw.choice(QUEUES), jobs)

    def push_below(self) -> None:
        parents = self.draw.sample(self.known[-40:], min(3, len(self.known)))
        self.queue.push("a", "below", depends_on=parents, on_parent_failure="run", flow_id=self.draw.choice(FLOWS))

    def push_limited(self) -> None:
        self.queue.push("c", "n", limit_key=self.draw.choice(KEYS))

    def push_unique(self) -> None:
        self.queue.push(self.draw.choice(QUEUES), "n", unique_key=self.draw.choice(KEYS))

    def pull(self) -> None:
        self.runs += self.queue.pull(self.draw.sample(QUEUES, 2), count=self.draw.randint(1, 6))

    def ack(self) -> None:
        taken, self.runs = self.runs[:4], self.runs[4:]
        self.draw.shuffle(taken)
        self.queue.ack_many(taken)

    def fail(self) -> None:
        if self.runs:
            self.queue.fail(self.runs.pop(), "broken")

    def release(self) -> None:
        if self.runs:
            self.queue.release(self.runs.pop())

    def step_in(self) -> None:
        job_id = self.draw.choice(self.known)
        ways: list[Callable[[str], object]] = [self.queue.cancel, self.queue.retry, self.queue.delete]
        self.draw.choice(ways)(job_id)

    def step_in_flow(self) -> None:
        self.draw.choice([self.queue.cancel_flow, self.queue.retry_flow, self.queue.retry_flow])(
            self.draw.choice(FLOWS)
        )

    def retry_dlq(self) -> None:
        self.queue.retry_dlq(self.draw.choice(QUEUES))

    def purge(self) -> None:
        self.queue.purge(self.draw.choice(QUEUES), state=self.draw.choice(["waiting", "blocked", "cancelled"]))


_OFTEN: list[Callable[[_Hand], None]] = [_Hand.push_flow, _Hand.pull, _Hand.pull, _Hand.ack, _Hand.ack, _Hand.ack]
_SELDOM: list[Callable[[_Hand], None]] = [
    _Hand.push_below, _Hand.push_limited, _Hand.push_unique, _Hand.fail, _Hand.fail, _Hand.release, _Hand.step_in,
    _Hand.step_in, _Hand.step_in_flow, _Hand.retry_dlq, _Hand.purge,
]  # fmt: skip


def _person(url: str, number: int, deadline: float, troubles: list[str]) -> None:
    with PyQueue(url) as queue:
        hand = _Hand(queue, random.Random(f"{number} {time.time()}"))
        hand.push_flow()
        while time.monotonic() < deadline and not troubles:
            act = hand.draw.choice(hand.draw.choice([_OFTEN, _SELDOM]))
            try:
                act(hand)
            except StorageError as error:
                troubles.append(f"{act.__name__}: {error!r} {error.__cause__!r}")
            except PyQueueError:
                pass  # Another one was quicker.
            except Exception as error:
                troubles.append(f"{act.__name__}: {error!r}")
        while hand.runs:
            hand.ack()


def _assert_slots_are_free_or_taken(url: str) -> None:
    """Nobody runs any more, so no slot is taken."""
    address, schema = servers.split(url)
    with psycopg.connect(address, options=f"-c search_path={schema}") as connection:
        found = connection.execute("SELECT count(*) FROM pyqueue_job WHERE state = 3").fetchone()
    assert found == (0,)


def _finish_all(queue: PyQueue) -> None:
    """Works until nothing waits any more; what is blocked by nothing that lives would be left."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        taken = queue.pull(QUEUES, count=100)
        if not taken:
            return
        queue.ack_many(taken)
