"""Who is working: each worker says so itself, and is forgotten when it no longer does."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest

from pyqueue import Job, PyQueue
from pyqueue._version import VERSION
from pyqueue.core.presence import Presence
from pyqueue.testing import FakeClock
from tests.waiting import eventually
from tests.working import running

PRESENCE = Presence(
    id="w-1",
    name="w",
    host="h",
    pid=1,
    version="1",
    mode="thread",
    concurrency=1,
    queues=("q",),
    tasks=(),
    started_us=1,
)


def test_a_running_worker_is_listed_with_its_jobs_and_gone_after_its_end(path: Path) -> None:
    started, go_on = threading.Event(), threading.Event()

    def handle(job: Job) -> None:
        started.set()
        assert go_on.wait(20)

    with PyQueue(path) as queue, PyQueue(path) as other:
        job_id = queue.push("emails", "send")
        worker = queue.worker(["emails", "reports"], handle, concurrency=2, name="web-1")
        with running(worker):
            assert started.wait(10)
            [info] = eventually(other.workers)
            go_on.set()

        assert other.workers() == []
    assert info.id == worker.worker_id
    assert info.id.startswith("web-1-")
    assert (info.name, info.host, info.pid, info.version) == ("web-1", socket.gethostname(), os.getpid(), VERSION)
    assert (info.mode, info.concurrency, info.queues, info.tasks) == ("thread", 2, ("emails", "reports"), ())
    assert [job.id for job in info.jobs] == [job_id]
    assert info.started_at <= info.seen_at


def test_a_worker_of_tasks_tells_their_names(path: Path) -> None:
    with PyQueue(path) as queue:

        @queue.task(queue="letters")
        def send_letter() -> None: ...

        with running(queue.worker()):
            [info] = eventually(queue.workers)

    assert info.tasks == ("send-letter",)
    assert info.queues == ("letters",)


def test_a_worker_that_is_not_heard_of_is_forgotten_and_listed_again_when_it_is(
    queue: PyQueue, clock: FakeClock
) -> None:
    queue.beat([], lease_ms=1_000, presence=PRESENCE)
    clock.advance(seconds=30)
    assert [info.id for info in queue.workers()] == ["w-1"]
    clock.advance(ms=1)
    assert queue.workers() == []

    queue.beat([], lease_ms=1_000, presence=PRESENCE)

    assert [info.seen_at for info in queue.workers()] == [clock.now]


@pytest.mark.sqlite("looks into the file")
def test_the_rows_of_dead_workers_do_not_pile_up(queue: PyQueue, clock: FakeClock, path: Path) -> None:
    queue.beat([], lease_ms=1_000, presence=PRESENCE)
    clock.advance(seconds=31)
    queue.push("q", "n")
    [job] = queue.pull("q", worker_id="w-2")
    queue.beat([job], lease_ms=5_000, presence=msgspec.structs.replace(PRESENCE, id="w-2"))

    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT id, jobs FROM pyqueue_worker").fetchall()
    connection.close()

    assert rows == [("w-2", 1)]
    [info] = queue.workers()
    assert [held.id for held in info.jobs] == [job.id]


@pytest.mark.parametrize("name", ["", "n" * 201, 7])
def test_a_name_that_does_not_fit_is_refused(queue: PyQueue, name: object) -> None:
    with pytest.raises(ValueError, match="name"):
        queue.worker("q", print, name=name)  # type: ignore[arg-type]
