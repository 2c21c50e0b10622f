"""Forks, exits and handles nobody closed; and threads, event loops and processes together on one file."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import traceback
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import QueueClosed
from pyqueue.core.store import connection as store_connection
from tests.crash.faults import assert_sound
from tests.crash.nursery import Program
from tests.waiting import eventually

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


# --- forks --------------------------------------------------------------------------------------------


@needs_fork
def test_children_forked_while_threads_write_can_use_the_handle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_connection, "BUSY_SECONDS", 5.0)
    over = threading.Event()
    pushed: list[str] = []

    def push_on() -> None:
        while not over.is_set():
            pushed.append(queue.push("parent", "n"))
            queue.stats("parent")

    with PyQueue(path) as queue:
        threads = [threading.Thread(target=push_on) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 21):
                eventually(lambda number=number: len(pushed) > 10 * number)  # type: ignore[misc]
                _in_child(lambda: _push_pull_and_read(queue))
        finally:
            over.set()
            for thread in threads:
                thread.join()

        assert queue.stats("parent").waiting == len(pushed)
        assert queue.stats("child").completed == 20 * 3
    assert_sound(path)


def _push_pull_and_read(queue: PyQueue) -> None:
    queue.push("child", "n")
    queue.push_many("child", [{"name": "n"}, {"name": "m", "priority": 1}])
    for job in queue.pull("child", count=3):
        queue.ack(job)
    assert queue.stats("child").active == 0


@needs_fork
def test_what_a_child_pushed_is_kept_when_the_parent_closes_first(path: Path) -> None:
    goes_on, may_go_on = os.pipe()
    queue = PyQueue(path)
    queue.push("q", "of-the-parent")

    def push_before_and_after() -> None:
        queue.push("q", "before")
        os.write(may_go_on, b"!")
        os.read(wait_for_parent, 1)
        queue.push("q", "after")

    wait_for_parent, parent_is_done = os.pipe()
    child = _fork(push_before_and_after)
    os.read(goes_on, 1)
    queue.close()
    os.write(parent_is_done, b"!")
    _await_child(child)

    with PyQueue(path) as again:
        assert again.stats("q").waiting == 3
    assert_sound(path)


@needs_fork
def test_a_child_that_closes_its_copy_leaves_the_parent_alone(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "n")

        _in_child(queue.close)
        _in_child(lambda: _in_child(lambda: _in_child(lambda: queue.push("q", "of-a-grandchild"))))

        queue.push("q", "m")
        assert queue.stats("q").waiting == 3
    assert_sound(path)


@needs_fork
def test_a_child_of_a_busy_parent_can_wait_and_keep_house(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.start_housekeeping()
        waiters = [threading.Thread(target=queue.pull, args=("none",), kwargs={"wait_ms": 30_000}) for _ in range(3)]
        for waiter in waiters:
            waiter.start()
        eventually(lambda: len(queue._runtime.wakeups._waiters) == len(waiters))

        def live() -> None:
            queue.start_housekeeping()
            queue.push("child", "n", delay_ms=20)
            [job] = queue.pull("child", wait_ms=10_000)
            assert asyncio.run(queue.aget_job(job)).name == "n"
            asyncio.run(queue.aack(job))
            queue.close()

        for _ in range(5):
            _in_child(live)

        queue.push_many("none", [{"name": "n"}] * len(waiters))
        for waiter in waiters:
            waiter.join(10)
        assert queue.stats("none").active == len(waiters)
        assert queue.stats("child").completed == 5
    assert_sound(path)


@needs_fork
def test_a_handle_not_yet_used_is_opened_by_parent_and_child_alike(path: Path) -> None:
    with PyQueue(path) as queue:
        child = _fork(lambda: queue.push("q", "n"))
        queue.push("q", "n")
        _await_child(child)

        assert queue.stats("q").waiting == 2


# --- exits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit(0)",
        "asyncio.get_running_loop().stop()",
        "os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(30)",
        "return",
    ],
)
def test_an_interpreter_that_exits_amid_pushes_of_tasks_keeps_what_it_acknowledged(path: Path, ending: str) -> None:
    program = f"""
        import asyncio, os, signal, sys
        from pyqueue import PyQueue

        async def push(queue):
            while True:
                os.write(1, (await queue.apush("q", "n") + "\\n").encode())

        async def main():
            queue = PyQueue(sys.argv[1])
            tasks = [asyncio.create_task(push(queue)) for _ in range(50)]
            while queue.stats("q").waiting < 500:
                await asyncio.sleep(0)
            {ending}

        try:
            asyncio.run(main())
        except RuntimeError as error:
            assert "Event loop stopped" in str(error)
        except KeyboardInterrupt:
            pass
    """

    acknowledged = _output_of(program, path)

    with PyQueue(path) as queue:
        assert len(acknowledged) > 100
        assert all(queue.get_job(job_id) for job_id in acknowledged)
    assert_sound(path)


def test_threads_that_outlive_the_main_thread_finish_their_pushes(path: Path) -> None:
    program = """
        import atexit, os, sys, threading
        from pyqueue import PyQueue

        queue = PyQueue(sys.argv[1])
        def push():
            for _ in range(50):
                os.write(1, (queue.push("q", "n") + "\\n").encode())
        atexit.register(push)
        for _ in range(6):
            threading.Thread(target=push).start()
    """

    acknowledged = _output_of(program, path)

    with PyQueue(path) as queue:
        assert len(set(acknowledged)) == 7 * 50 == queue.stats("q").waiting
    assert_sound(path)


# --- handles ----------------------------------------------------------------------------------------------


def test_a_forgotten_handle_lets_go_of_the_file(path: Path) -> None:
    async def use(queue: PyQueue) -> None:
        await asyncio.gather(*(queue.apush("q", "n") for _ in range(10)))
        await queue.astats("q")

    queue = PyQueue(path)
    threads = [threading.Thread(target=queue.push, args=("q", "n")) for _ in range(10)]
    for thread in threads:
        thread.start()
    asyncio.run(use(queue))
    queue.pull("none", wait_ms=1)
    for thread in threads:
        thread.join()
    handle = weakref.ref(queue)

    del queue, threads, thread

    def is_gone() -> bool:
        gc.collect()
        return handle() is None and not _open_files(path)

    eventually(is_gone, seconds=20, what="the handle let go")
    with PyQueue(path) as again:
        assert again.stats("q").waiting == 20


def test_close_amid_pushes_answers_everyone_and_leaves_nothing_open(path: Path) -> None:
    acknowledged: list[str] = []
    refused: list[bool] = []

    def push(queue: PyQueue) -> None:
        try:
            while True:
                acknowledged.append(queue.push("q", "n"))
        except QueueClosed:
            refused.append(True)

    async def push_from_tasks(queue: PyQueue) -> None:
        async def one() -> None:
            while True:
                acknowledged.append(await queue.apush("q", "n"))

        answers = await asyncio.gather(*(one() for _ in range(20)), return_exceptions=True)
        refused.extend(type(answer) is QueueClosed for answer in answers)

    for _ in range(10):
        before = len(acknowledged)
        queue = PyQueue(path, durability="process")
        targets: list[Callable[[], object]] = [lambda queue=queue: push(queue)] * 4  # type: ignore[misc]
        targets.append(lambda queue=queue: asyncio.run(push_from_tasks(queue)))  # type: ignore[misc]
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
        eventually(lambda before=before: len(acknowledged) > before + 50)  # type: ignore[misc]

        queue.close()

        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert _open_files(path) == []
    with PyQueue(path) as queue:
        assert queue.stats("q").waiting == len(acknowledged) == len(set(acknowledged))
    assert refused == [True] * 10 * 24


# --- all at once --------------------------------------------------------------------------------------------


def test_threads_loops_and_processes_share_a_file(path: Path) -> None:
    programs = [Program("mix_threads_and_loops", path, "process") for _ in range(3)]

    lines = [line.split(" ") for program in programs for line in program.finish()]

    pushed = [job_id for verb, *ids in lines if verb == "pushed" for job_id in ids]
    acked = Counter(job_id for verb, *ids in lines if verb == "acked" for job_id in ids)
    assert [line for line in lines if line[0] == "failed"] == []
    assert len(set(pushed)) == 3 * 900
    assert acked == Counter(pushed), "each job is completed once"
    assert_sound(path)


# --- helpers ----------------------------------------------------------------------------------------------


def _fork(action: Callable[[], object]) -> int:
    """Forks a child that does this and ends; gives its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        action()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _await_child(child: int) -> None:
    ended = eventually(
        lambda: next((end for end in [os.waitpid(child, os.WNOHANG)] if end[0]), None),
        seconds=60,
        what="the end of a child",
    )
    assert ended == (child, 0), "the child failed: see its standard error"


def _in_child(action: Callable[[], object]) -> None:
    _await_child(_fork(action))


def _output_of(program: str, path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.split()


def _open_files(path: Path) -> list[str]:
    """The files of the database that this process has open, where that can be known."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return []
    links = []
    for link in folder.iterdir():
        try:
            links.append(str(link.readlink()))
        except OSError:
            continue  # The one that lists the folder.
    return [link for link in links if link.startswith(str(path))]
