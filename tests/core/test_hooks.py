"""What surrounds a run: signals, wraps, the context, and what log records say of the job."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import pytest

from pyqueue import Job, JobFilter, JobHandle, JobState, PyQueue, Retry, Snooze, Tasks, current_job, signals
from pyqueue.core.errors import ConfigError
from pyqueue.core.logs import JsonFormatter

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class Seen:
    """Connects to the signals around runs, and writes down what they tell."""

    def __init__(self, queue: PyQueue) -> None:
        self.events: list[Any] = []
        signals.before_run.connect(self._before, sender=queue)
        signals.after_run.connect(self._after, sender=queue)
        signals.run_failed.connect(self._failed, sender=queue)

    def _before(self, sender: PyQueue, job: Job) -> None:
        self.events.append(("before", job.name))

    def _after(self, sender: PyQueue, job: Job, result: Any) -> None:
        self.events.append(("after", job.name, result))

    def _failed(self, sender: PyQueue, job: Job, error: BaseException) -> None:
        self.events.append(("failed", job.name, type(error).__name__))


def test_each_run_is_announced_before_and_after(queue: PyQueue) -> None:
    seen = Seen(queue)

    @queue.task(queue="q")
    def plain() -> int:
        return 1

    @queue.task(queue="q")
    async def waits() -> int:
        raise Snooze(1_000)

    @queue.task(queue="q", discard_on=KeyError)
    def breaks() -> None:
        raise KeyError("x")

    for task in (plain, waits, breaks):
        task.push()
        queue.run_worker(burst=True)

    assert seen.events == [
        ("before", "plain"),
        ("after", "plain", 1),
        ("before", "waits"),
        ("failed", "waits", "Snooze"),
        ("before", "breaks"),
        ("failed", "breaks", "KeyError"),
    ]


def test_plain_handlers_are_announced_and_wrapped_too(queue: PyQueue) -> None:
    seen = Seen(queue)
    wrapped: list[str] = []

    @queue.wrap
    def note(job: Job) -> Iterator[None]:
        wrapped.append(job.name)
        yield

    async def ahandle(job: Job) -> str:
        return job.name

    queue.push("a", "one")
    queue.run_worker("a", lambda job: job.name, burst=True)
    queue.push("b", "two")
    queue.run_worker("b", ahandle, burst=True)

    assert wrapped == ["one", "two"]
    assert [event[0] for event in seen.events] == ["before", "after"] * 2


def test_a_receiver_that_raises_changes_nothing_and_is_logged(queue: PyQueue, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(sender: PyQueue, job: Job) -> None:
        raise RuntimeError("receiver")

    signals.before_run.connect(breaks, sender=queue)
    seen = Seen(queue)
    handle = queue.task(name="one", queue="q")(lambda: 1).push()
    queue.run_worker(burst=True)

    assert handle.result(1) == 1
    assert "a receiver of a signal failed" in caplog.text
    assert seen.events[0][0] == "before"


def test_wraps_surround_a_run_in_the_order_of_their_registration(queue: PyQueue) -> None:
    order: list[str] = []

    def noting(name: str) -> Any:
        def hook(job: Job) -> Iterator[None]:
            order.append(f"{name} in")
            try:
                yield
            finally:
                order.append(f"{name} out")

        return hook

    def anoting(name: str) -> Any:
        async def hook(job: Job) -> AsyncIterator[None]:
            order.append(f"{name} in")
            yield
            order.append(f"{name} out")

        return hook

    tasks, inner = Tasks(), Tasks()
    inner.wrap(noting("inner"))
    tasks.wrap(anoting("async"))
    queue.wrap(noting("queue"))
    tasks.include(inner)
    queue.include(tasks)

    @inner.task(queue="q")
    def plain() -> None:
        order.append("plain")

    @inner.task(queue="q")
    async def waits() -> None:
        order.append("waits")

    @queue.task(queue="q")
    def own() -> None:
        order.append("own")

    for task in (plain, waits, own):
        task.push()
        queue.run_worker(burst=True)

    assert order == [
        *("queue in", "inner in", "plain", "inner out", "queue out"),
        *("queue in", "async in", "inner in", "waits", "inner out", "async out", "queue out"),
        *("queue in", "own", "queue out"),
    ]


def test_a_wrap_decides_the_outcome_of_what_it_surrounds(queue: PyQueue) -> None:
    class Gone(Exception):
        pass

    @queue.wrap
    def decide(job: Job) -> AbstractContextManager[None]:
        @contextmanager
        def translated() -> Iterator[None]:
            try:
                yield
            except ConnectionError as error:
                raise Retry("translated", delay_ms=5_000) from error

        return suppress(Gone) if job.name == "forgiven" else translated()

    @queue.task(queue="q", name="forgiven")
    def forgiven() -> int | None:
        raise Gone

    @queue.task(queue="q")
    async def translated() -> None:
        raise ConnectionError("gone")

    handles: list[JobHandle[Any]] = [forgiven.push(), translated.push()]
    queue.run_worker(burst=True)

    assert handles[0].result(1) is None
    assert "translated" in str(queue.get_job(handles[1]).last_error)
    assert queue.get_job(handles[1]).state is JobState.DELAYED


def test_a_wrap_that_raises_is_a_failed_attempt_and_nothing_runs(queue: PyQueue) -> None:
    ran: list[int] = []

    @queue.wrap
    def refuse(job: Job) -> Iterator[None]:
        raise PermissionError("closed")
        yield

    @queue.task(queue="q", retry_on=ConnectionError)
    def work() -> None:
        ran.append(1)

    handle = work.push()
    queue.run_worker(burst=True)

    job = queue.get_job(handle)
    assert (ran, job.state) == ([], JobState.DLQ)  # The policy of the task judges it like an error of the function.
    assert "PermissionError: closed" in str(job.last_error)


def test_what_cannot_wrap_is_refused(queue: PyQueue) -> None:
    async def coroutine(job: Job) -> None: ...

    for hook in (5, coroutine):
        with pytest.raises(ConfigError, match=r"wrap\(\) got .*; expected a function that yields once"):
            queue.wrap(hook)  # type: ignore[type-var]


def test_the_context_of_the_worker_is_that_of_its_jobs_and_none_leaks_into_the_next(queue: PyQueue) -> None:
    seen: list[str] = []

    @queue.task(queue="q")
    def plain() -> None:
        seen.append(tenant.get())
        tenant.set("leaked")

    @queue.task(queue="q")
    async def waits() -> None:
        seen.append(tenant.get())
        tenant.set("leaked")

    for task in (plain, plain, waits, waits):
        task.push()
    token = tenant.set("acme")
    queue.run_worker(burst=True)
    tenant.reset(token)

    assert seen == ["acme"] * 4
    assert tenant.get() == "nobody"


def test_code_anywhere_knows_the_job_it_runs_for(queue: PyQueue) -> None:
    seen: list[Job | None] = []

    async def deep() -> None:
        seen.append(current_job())

    @queue.task(queue="q")
    def plain() -> None:
        seen.append(current_job())

    @queue.task(queue="q")
    async def waits() -> None:
        await asyncio.gather(deep())

    ids = [plain.push(), waits.push()]
    queue.run_worker(burst=True)

    assert sorted(job.id for job in seen if job) == sorted(ids)
    assert current_job() is None


def test_records_say_which_job_they_were_logged_in(queue: PyQueue) -> None:
    records: list[tuple[str, str, str, str]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            facts = vars(record)
            records.append((record.getMessage(), facts["job_id"], facts["queue"], facts["task"]))

    @queue.task(queue="q")
    def work() -> None:
        log.warning("inside")
        log.warning("of another", extra={"job_id": "x"})

    log = logging.getLogger("shop")
    handler = Keep()
    handler.addFilter(JobFilter())
    log.addHandler(handler)
    try:
        job_id = work.push()
        queue.run_worker(burst=True)
        log.warning("outside")
    finally:
        log.removeHandler(handler)

    assert records == [
        ("inside", job_id, "q", "work"),
        ("of another", "x", "q", "work"),
        ("outside", "-", "-", "-"),
    ]


def test_the_lines_of_the_worker_command_say_so_by_themselves(queue: PyQueue) -> None:
    lines: list[dict[str, Any]] = []

    @queue.task(queue="q")
    def work() -> None:
        record = logging.makeLogRecord({"msg": "inside", "pages": 3})
        lines.append(json.loads(JsonFormatter().format(record)))

    job_id = work.push()
    queue.run_worker(burst=True)

    facts = {key: lines[0].get(key) for key in ("message", "job_id", "queue", "name", "pages")}
    assert facts == {"message": "inside", "job_id": job_id, "queue": "q", "name": "work", "pages": 3}
    assert "job_id" not in JsonFormatter().format(logging.makeLogRecord({"msg": "outside"}))


def test_the_traceback_of_a_failure_begins_in_the_task(queue: PyQueue) -> None:
    @queue.wrap
    def look_on(job: Job) -> Iterator[None]:
        yield

    @queue.task(queue="q", retry_delay_ms=lambda attempt, error: 1_000)
    def work() -> None:
        raise ValueError("here")

    handle = work.push()
    queue.run_worker(burst=True)

    error = str(queue.get_job(handle).last_error)
    first, _, _ = error.partition("ValueError: here")
    assert first.count('File "') == 1
    assert "in work" in first


def test_registries_within_registries_push_to_the_queue_around_them(queue: PyQueue) -> None:
    tasks, inner = Tasks(), Tasks()

    @inner.task(queue="q")
    def work() -> int:
        return 1

    tasks.include(inner)
    queue.include(tasks)
    queue.include(tasks)

    @inner.task(queue="q")
    def defined_later() -> int:
        return 2

    handles = [work.push(), defined_later.push()]
    queue.run_worker(burst=True)

    assert [handle.result(1) for handle in handles] == [1, 2]
    with pytest.raises(ConfigError, match="two tasks are called 'work'"):
        queue.task(name="work")(lambda: None)
    queue.task(name="own")(lambda: None)
    with pytest.raises(ConfigError, match="two tasks are called 'own'"):
        inner.task(name="own")(lambda: None)
    assert inner.names == ["defined-later", "work"]
    with PyQueue.memory() as other, pytest.raises(ConfigError, match="belong to another queue already"):
        other.include(inner)
