"""Eager mode, the handle in memory, assertions about pushes, hooks of pushes, and the pytest plugin."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import ConfigError, ValidationError
from pyqueue.core.handle.pushing import Pushing
from pyqueue.testing import FakeClock, assert_pushed, eager, in_memory


def test_what_is_pushed_eagerly_has_run_and_went_through_json(queue: PyQueue) -> None:
    seen: list[datetime] = []

    @queue.task(queue="q")
    def parent(when: datetime) -> str:
        handle = child.push(when)
        assert handle.job().state is JobState.WAITING  # A child runs after its parent.
        return "parent"

    @queue.task(queue="q")
    async def child(when: datetime) -> str:
        seen.append(when)
        return "child"

    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with eager(queue):
        handle = parent.push(moment)
        assert handle.result(0) == "parent"
        assert seen == [moment] and seen[0] is not moment
        assert [child.push(moment).result(0) for _ in range(2)] == ["child", "child"]
    assert parent.push(moment).job().state is JobState.WAITING


def test_eager_pushes_of_event_loops_run_on_that_loop(queue: PyQueue) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()

        @queue.task(queue="q")
        async def waits() -> bool:
            return asyncio.get_running_loop() is loop

        with eager(queue):
            assert await (await waits.apush()) is True
            assert [await handle for handle in await waits.amap([(), ()])] == [True, True]

    asyncio.run(work())


def test_eager_pushes_leave_what_is_delayed_and_raise_on_request(queue: PyQueue, clock: FakeClock) -> None:
    @queue.task(queue="q", max_attempts=2)
    def fails() -> None:
        raise ValueError("broken")

    with eager(queue):
        assert fails.options(delay_ms=1_000).push().job().state is JobState.DELAYED
        assert fails.push().job().attempt == 1
    with eager(queue, raises=True), pytest.raises(ValueError, match="broken"):
        fails.push()


@pytest.mark.sqlite("the caller's transaction is one of sqlite3")
def test_a_push_inside_a_transaction_of_the_caller_is_not_run_eagerly(queue: PyQueue, path: Path) -> None:
    queue.stats("q")
    database = sqlite3.connect(path)
    with eager(queue), database:
        database.execute("BEGIN")
        queue.on(database).push("q", "work")
    database.close()

    assert queue.stats("q").waiting == 1


def test_a_handle_works_in_memory_and_comes_back_to_its_file(queue: PyQueue, clock: FakeClock) -> None:
    @queue.task(queue="q")
    def work() -> int:
        return 1

    outside = queue.push("q", "work")
    with in_memory(queue, clock=FakeClock(datetime(2040, 1, 1, tzinfo=UTC))):
        assert queue.queues() == []
        assert work.push().job().created_at.year == 2040
        assert queue.drain().completed == 1
    assert queue.stats("q").waiting == 1
    assert queue.get_job(outside).state is JobState.WAITING


def test_pushed_jobs_are_found_by_task_name_arguments_and_queue(queue: PyQueue) -> None:
    @queue.task(queue="emails")
    def send(to: str, when: datetime | None = None) -> None: ...

    moment = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [send.push("a@a.com"), send.options(queue="slow").push("b@a.com", when=moment)]
    queue.drain("emails")

    assert [job.id for job in assert_pushed(queue, send)] == ids
    assert [job.id for job in assert_pushed(queue, "send", {"to": "b@a.com", "when": moment})] == ids[1:]
    assert [job.id for job in assert_pushed(queue, send, on_queue="emails", count=1)] == ids[:1]
    assert_pushed(queue, send, {"to": "c@a.com"}, count=0)
    with pytest.raises(AssertionError) as raised:
        assert_pushed(queue, send, {"to": "c@a.com"}, on_queue="slow")
    assert str(raised.value).splitlines() == [
        "expected at least 1 of 'send' on queue 'slow' with {'to': 'c@a.com'}, found 0; pushed were, newest first:",
        "  slow/send {'to': 'b@a.com', 'when': '2026-01-01T00:00:00Z'} (waiting)",
        "  emails/send {'to': 'a@a.com'} (completed)",
    ]
    with pytest.raises(AssertionError, match="expected 1 of 'send', found 2"):
        assert_pushed(queue, send, count=1)


def test_a_push_of_another_thread_is_waited_for(queue: PyQueue) -> None:
    timer = threading.Timer(0.05, lambda: queue.push("q", "late"))
    timer.start()

    assert len(assert_pushed(queue, "late", within=5)) == 1
    timer.join()


@pytest.mark.sqlite("the caller's transaction is one of sqlite3")
def test_hooks_surround_every_push_and_add_to_its_metadata(queue: PyQueue, path: Path) -> None:
    seen: list[tuple[list[str], list[str], bool]] = []

    @queue.wrap_push
    def by_request(pushing: Pushing) -> Iterator[None]:
        pushing.metadata["request"] = "r1"
        yield
        seen.append((list(pushing.names), list(pushing.ids), pushing.is_joined))

    async def apush() -> list[str]:
        return [await queue.apush("q", "b", metadata={"own": 1}), *await queue.apush_many("q", [{"name": "c"}])]

    ids = [queue.push("q", "a", metadata={"request": "own"}), *asyncio.run(apush())]
    ids += queue.push_many("q", [{"name": "d", "metadata": [1]}, {"name": "e", "priority": 3}])
    database = sqlite3.connect(path)
    with database:
        database.execute("BEGIN")
        ids.append(queue.on(database).push("q", "f"))
    database.close()
    queue.unwrap_push(by_request)
    queue.push("q", "g")

    assert [queue.get_job(job_id).metadata for job_id in ids] == [
        {"request": "own"},
        {"request": "r1", "own": 1},
        {"request": "r1"},
        [1],
        {"request": "r1"},
        {"request": "r1"},
    ]
    assert queue.get_job(ids[4]).priority == 3
    assert [names for names, _, _ in seen] == [["a"], ["b"], ["c"], ["d", "e"], ["f"]]
    assert [job_id for _, found, _ in seen for job_id in found] == ids
    assert [is_joined for _, _, is_joined in seen] == [False] * 4 + [True]


def test_a_hook_that_raises_before_the_push_prevents_it(queue: PyQueue) -> None:
    @queue.wrap_push
    def refuse(pushing: Pushing) -> Iterator[None]:
        if pushing.names[0] == "bad":
            raise PermissionError("not today")
        try:
            yield
        except ValidationError:
            return

    with pytest.raises(PermissionError):
        queue.push("q", "bad")
    with pytest.raises(ConfigError, match="suppressed the error of a push to 'q'"):
        queue.push("q", "work", depends_on=["0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"])
    assert queue.queues() == []


def _pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True, check=False
    )


def test_the_plugin_gives_projects_a_queue_and_its_clock(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from pyqueue import PyQueue\nqueue = PyQueue('jobs.db')\n"
        "@queue.task(queue='q')\ndef work(number: int) -> int: return number\n"
    )
    (tmp_path / "test_own.py").write_text(
        "import jobs\n"
        "def test_one(pyqueue, pyqueue_clock):\n"
        "    assert pyqueue is jobs.queue and pyqueue.queues() == []\n"
        "    handle = jobs.work.options(delay_ms=1_000).push(1)\n"
        "    before = pyqueue_clock.now\n"
        "    assert pyqueue.drain().completed == 1 and handle.result(0) == 1\n"
        "    assert (pyqueue_clock.now - before).total_seconds() == 1\n"
        "def test_two(pyqueue):\n"
        "    assert pyqueue.queues() == []\n"
    )
    (tmp_path / "test_new.py").write_text(
        "def test_one(pyqueue):\n    pyqueue.push('q', 'n')\n    assert pyqueue.stats('q').waiting == 1\n"
    )

    named = _pytest(tmp_path, "-o", "pyqueue=jobs:queue", "test_own.py")
    plain = _pytest(tmp_path, "test_new.py")
    wrong = _pytest(tmp_path, "-o", "pyqueue=jobs:work", "test_own.py")

    assert "2 passed" in named.stdout, named.stdout
    assert "1 passed" in plain.stdout, plain.stdout
    assert "names no PyQueue; expected MODULE:NAME" in wrong.stdout
    assert not (tmp_path / "jobs.db").exists()
