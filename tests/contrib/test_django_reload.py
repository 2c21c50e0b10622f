"""Django: `rqworker --reload`, with the signals of a terminal, which go to all processes of its foreground group."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyqueue import Job, JobState, PyQueue
from tests.contrib.django_shop import Shop, shop_on
from tests.waiting import eventually

pytest.importorskip("django")

WAIT = """

@task(queue="slow")
def wait() -> None:
    from pathlib import Path
    here = Path(__file__).parent
    (here / "started").touch()
    while not (here / "go-on").exists():
        time.sleep(0.005)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with shop_on("sqlite", tmp_path) as made:
        copied = made.copied_to(tmp_path / "project")
        with (tmp_path / "project" / "shop" / "tasks.py").open("a") as tasks:
            tasks.write(WAIT)
        copied.manage("migrate", "--verbosity", "0", "--run-syncdb")
        yield copied


@contextmanager
def reloading(shop: Shop) -> Iterator[subprocess.Popen[str]]:
    process = shop.start("rqworker", "--reload", is_foreground_group=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def started(folder: Path, queue: PyQueue) -> Job:
    """A job of the worker, when it runs; it goes on until it is let."""
    pushed = queue.push("slow", "wait")
    eventually((folder / "project" / "shop" / "started").exists, seconds=30, what="its run")
    return queue.get_job(pushed)


def let_go_on(folder: Path) -> None:
    (folder / "project" / "shop" / "go-on").touch()


def ids(queue: PyQueue) -> list[str]:
    return [worker.id for worker in queue.workers()]


def write_until_seen(path: Path, code: str, condition: Callable[[], bool]) -> None:
    """Writes it again and again: Django's reloader takes what it finds when it first looks as it should be."""
    eventually(lambda: path.write_text(code) and condition(), seconds=30, what="a look at the code")


def wait_until_said(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), text


def test_ctrl_c_lets_the_running_job_finish(shop: Shop, tmp_path: Path) -> None:
    with PyQueue(shop.url) as queue, reloading(shop) as process:
        running = started(tmp_path, queue)

        os.killpg(process.pid, signal.SIGINT)
        wait_until_said(process, "ending after the jobs that run")
        let_go_on(tmp_path)

        assert process.wait(30) == 0, process.communicate()
        assert (queue.get_job(running.id).state, queue.workers()) == (JobState.COMPLETED, [])


def test_another_ctrl_c_gives_the_running_job_back(shop: Shop, tmp_path: Path) -> None:
    with PyQueue(shop.url) as queue, reloading(shop) as process:
        running = started(tmp_path, queue)

        os.killpg(process.pid, signal.SIGINT)
        wait_until_said(process, "once more ends at once")

        def press_again() -> bool:  # What comes before the first was looked at is one with it.
            os.killpg(process.pid, signal.SIGINT)
            return queue.get_job(running.id).state is JobState.WAITING

        eventually(press_again, seconds=20, what="the end")  # The grace of a job is 30 s.
        assert process.wait(30) == 0, process.communicate()
        assert queue.get_job(running.id).attempt == 0


def test_a_change_starts_the_worker_anew_when_the_running_job_has_finished(shop: Shop, tmp_path: Path) -> None:
    tasks = tmp_path / "project" / "shop" / "tasks.py"
    with PyQueue(shop.url) as queue, reloading(shop) as process:
        running = started(tmp_path, queue)
        [first] = ids(queue)

        changed = tasks.read_text().replace('return f"hello', 'return f"good day')
        with ThreadPoolExecutor(1) as pool:
            said = pool.submit(wait_until_said, process, "starting anew")
            write_until_seen(tasks, changed, said.done)
            said.result()
        let_go_on(tmp_path)

        eventually(lambda: ids(queue) not in ([], [first]), seconds=30, what="another")
        finished = queue.get_job(running.id)
        assert (finished.state, finished.attempt) == (JobState.COMPLETED, 0)
        assert queue.wait_for(queue.push("loop", "greet", {"name": "you"}), timeout=30) == "good day you"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, process.communicate()


def test_code_that_cannot_be_run_is_waited_out(shop: Shop, tmp_path: Path) -> None:
    tasks = tmp_path / "project" / "shop" / "tasks.py"
    good = tasks.read_text()
    with PyQueue(shop.url) as queue, reloading(shop) as process:
        [first] = eventually(lambda: ids(queue), seconds=30, what="a worker")

        write_until_seen(tasks, f"{good}\nthis is no Python\n", lambda: first not in ids(queue))
        wait_until_said(process, "SyntaxError")
        tasks.write_text(good)

        eventually(lambda: ids(queue), seconds=30, what="another")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, process.communicate()
