"""The options of a worker: what ends it, how it runs, and which do not go together."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pyqueue import Job, PyQueue
from pyqueue.core.errors import ConfigError, ValidationError
from pyqueue.core.worker.memory import resident_mb
from tests.waiting import eventually
from tests.worker import jobs
from tests.working import running

pytestmark = pytest.mark.sqlite


async def ahandle(job: Job) -> None: ...


def handle(job: Job) -> None: ...


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("what", [handle, ahandle])
def test_a_worker_ends_after_so_many_jobs(queue: PyQueue, what: Any, concurrency: int) -> None:
    queue.push_many("q", [{"name": "n"}] * 100)

    report = queue.run_worker("q", what, max_jobs=30, concurrency=concurrency)

    assert (report.completed, report.released) == (30, 0)
    assert (queue.stats("q").completed, queue.stats("q").waiting) == (30, 70)


def test_jobs_given_back_do_not_count_among_so_many(queue: PyQueue) -> None:
    blocked, go_on = threading.Event(), threading.Event()

    def wait(job: Job) -> None:
        if job.name == "slow":
            blocked.set()
            assert go_on.wait(20)

    with running(queue.worker("q", wait, max_jobs=60)) as reports:
        queue.push_many("q", [{"name": "n"}] * 20)
        eventually(lambda: queue.stats("q").completed == 20)
        queue.push_many("q", [{"name": "slow"}, *[{"name": "n"}] * 60])
        assert blocked.wait(10)
        eventually(lambda: queue.stats("q").active == 1, what="the jobs behind the slow one to be given back")
        go_on.set()
        eventually(lambda: reports)

    assert reports[0].completed == 60
    assert queue.stats("q").waiting == 21


def test_a_worker_that_holds_too_much_memory_ends_and_finishes_what_runs(queue: PyQueue) -> None:
    started, go_on = threading.Event(), threading.Event()

    def wait(job: Job) -> str:
        started.set()
        assert go_on.wait(20)
        return "done"

    first, second = queue.push("q", "n"), queue.push("q", "n")
    with running(queue.worker("q", wait, max_memory_mb=1)) as reports:
        assert started.wait(10)
        threading.Timer(1.0, go_on.set).start()
        eventually(lambda: reports)

    assert queue.get_job(first).result == "done"
    assert queue.get_job(second).state == "waiting"


def test_memory_is_known() -> None:
    held = resident_mb()

    assert held is not None
    assert 10 < held < 10_000


@pytest.mark.parametrize(
    ("options", "what", "message"),
    [
        ({"mode": "thread"}, ahandle, r"mode 'thread', but there is an async def to run, which goes with mode 'async'"),
        ({"mode": "async"}, handle, r"mode 'async', but there is a plain function to run"),
        ({"mode": "fork"}, handle, r"mode 'fork'; expected one of: thread, async, process"),
        ({"max_jobs_per_child": 5}, handle, r"max_jobs_per_child is about child processes"),
        ({"import_path": "a:b"}, handle, r"import_path is about child processes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(queue: PyQueue, options: Any, what: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        queue.worker("q", what, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_jobs": 0}, {"max_memory_mb": 0}, {"max_jobs_per_child": True, "mode": "process"},
        {"prefetch_ms": -1}, {"burst": 1}, {"import_path": "", "mode": "process"},
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused(queue: PyQueue, options: Any) -> None:
    with pytest.raises(ValidationError, match="expected"):
        queue.worker("q", jobs.handle, **options)


def test_an_unknown_option_is_refused_with_the_known_ones(queue: PyQueue) -> None:
    with pytest.raises(ValidationError, match=r"unknown worker option 'threads'; expected one of: burst, concurrency"):
        queue.worker("q", handle, threads=4)  # type: ignore[call-arg]


def test_an_explicit_mode_runs_what_goes_with_it(queue: PyQueue) -> None:
    queue.push("q", "n")
    assert queue.run_worker("q", handle, mode="thread", burst=True).completed == 1
    queue.push("q", "n")
    assert queue.run_worker("q", ahandle, mode="async", burst=True).completed == 1


@pytest.mark.parametrize(
    ("kinds", "mode"), [("p", "thread"), ("a", "async"), ("pa", "thread+async"), ("", "thread+async")]
)
def test_a_worker_of_tasks_says_how_it_runs_them(queue: PyQueue, kinds: str, mode: str) -> None:
    if "p" in kinds:
        queue.task(name="plain")(lambda: None)
    if "a" in kinds:

        @queue.task(name="coroutine")
        async def coroutine() -> None: ...

    assert queue.worker("q").presence.mode == mode


def test_an_idle_worker_of_tasks_has_threads_for_none(queue: PyQueue) -> None:
    """Not before there is a job for them: 500 at once would be 500 threads, and an event loop 5 MB."""
    queue.task(name="plain")(lambda: None)
    before = threading.active_count()
    with running(queue.worker("q", concurrency=500)):
        eventually(queue.workers)
        assert threading.active_count() < before + 20
