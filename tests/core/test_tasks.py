"""Functions as jobs: what they accept, how they are pushed, and how workers run them."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from pyqueue import Discard, JobContext, JobState, PyQueue, Retry, Snooze, Tasks
from pyqueue.core.errors import ConfigError, InvalidState, JobCancelled, JobFailed, ValidationError
from pyqueue.testing import FakeClock


@dataclass
class Address:
    street: str
    number: int | None = None


def test_a_pushed_task_is_run_by_a_worker_and_gives_its_result(queue: PyQueue) -> None:
    @queue.task(queue="emails", max_attempts=5)
    def send_welcome(to: str, when: datetime | None = None) -> Address:
        assert when is None or when.tzinfo is not None
        return Address(to, 5)

    handle = send_welcome.push("user@a.com", when=datetime(2026, 1, 1, tzinfo=UTC))
    report = queue.run_worker(burst=True)

    assert (report.completed, handle.result(1)) == (1, Address("user@a.com", 5))
    job = queue.get_job(handle)
    assert (job.queue, job.name, job.max_attempts) == ("emails", "send-welcome", 5)
    assert job.data == {"to": "user@a.com", "when": "2026-01-01T00:00:00Z"}


def test_plain_and_async_tasks_share_a_worker(queue: PyQueue) -> None:
    @queue.task
    def plain(number: int) -> str:
        return f"plain {number}"

    @queue.task
    async def waits(number: int) -> str:
        await asyncio.sleep(0)
        return f"async {number}"

    handles = [*plain.map([1, (2,), {"number": 3}]), *waits.map([1, 2])]
    queue.run_worker(burst=True, concurrency=2)

    assert [handle.result(1) for handle in handles] == ["plain 1", "plain 2", "plain 3", "async 1", "async 2"]


def test_event_loops_push_and_await(path: Path) -> None:
    async def push_and_wait() -> list[int]:
        async with PyQueue(path) as queue:

            @queue.task
            async def double(number: int) -> int:
                return 2 * number

            worker = queue.worker()
            running = asyncio.create_task(asyncio.to_thread(worker.run))
            one = await double.apush(1)
            two = await double.options(priority=3).apush(number=2)
            more = await double.amap([3, 4])
            results = [await handle for handle in (one, two, *more)]
            worker.stop()
            await running
            return results

    assert asyncio.run(push_and_wait()) == [2, 4, 6, 8]


def test_any_client_can_push_a_task_by_name(queue: PyQueue) -> None:
    seen: list[Any] = []

    @queue.task(queue="q", aliases=["greet-old"])
    def greet(name: str = "world") -> None:
        seen.append(name)

    queue.push("q", "greet", {"name": "you"})
    queue.push("q", "greet-old", {})
    queue.push("q", "greet")
    queue.run_worker(burst=True)

    assert seen == ["you", "world", "world"]


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (
            (),
            {},
            r"task 'send': missing a required argument: 'to'; expected a call that fits \(to: str, times: ",
        ),
        (("a", 1, 2), {}, "task 'send': too many positional arguments"),
        (("a",), {"cc": "b"}, "task 'send': got an unexpected keyword argument 'cc'"),
        ((5,), {}, "task 'send': parameter 'to': Expected `str`, got `int`"),
        (("a", "b"), {}, "parameter 'times': Expected `int`, got `str`"),
        (("a", 0), {}, "parameter 'times': Expected `int` >= 1"),
        ((object(),), {}, "an argument has no JSON form"),
    ],
)
def test_a_call_that_does_not_fit_fails_at_push(queue: PyQueue, args: Any, kwargs: Any, message: str) -> None:
    @queue.task(queue="q")
    def send(to: str, times: Annotated[int, msgspec.Meta(ge=1)] = 1) -> None:
        raise AssertionError("not to be run")

    with pytest.raises(ValidationError, match=message):
        send.push(*args, **kwargs)
    with pytest.raises(ValidationError, match=message):
        send.map([args if not kwargs else dict(zip(("to", "times"), args, strict=False)) | kwargs])
    assert queue.stats("q").waiting == 0


def test_data_that_does_not_fit_is_a_failed_attempt_that_names_the_parameter(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def count(to: int) -> None:
        raise AssertionError("not to be run")

    job_id = queue.push("q", "count", {"to": "ten"})
    queue.run_worker(burst=True)

    job = queue.get_job(job_id)
    assert job.state is JobState.DELAYED
    assert "parameter 'to': Expected `int`, got `str`" in str(job.last_error)


def test_a_job_of_an_unknown_task_is_kept_for_a_worker_that_knows_it(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "later", {})

    @queue.task(queue="q")
    def now() -> None:
        return None

    queue.run_worker(burst=True)
    assert "no task here is called 'later'; known: now" in str(queue.get_job(job_id).last_error)

    queue.task(name="later", queue="q")(lambda: "done")
    clock.advance(seconds=60)
    queue.run_worker(burst=True)
    assert queue.get_job(job_id).result == "done"


def test_the_context_is_given_and_is_no_argument(queue: PyQueue) -> None:
    keys: list[str] = []

    @queue.task(queue="q", backoff_delay_ms=0)
    def report(ctx: JobContext, pages: int) -> int:
        keys.append(ctx.idempotency_key)
        ctx.progress(50, "half")
        assert not ctx.is_cancelled
        if len(keys) == 1:
            raise RuntimeError("once more")
        return ctx.job.attempt + pages

    handle = report.push(10)
    queue.run_worker(burst=True)

    job = handle.job()
    assert (job.data, handle.result(1), job.progress) == ({"pages": 10}, 11, 50)
    assert keys == [job.id, job.id]
    assert [entry.message for entry in job.logs] == ["half", "half"]


def test_a_task_that_is_called_has_no_job(queue: PyQueue) -> None:
    @queue.task
    def report(ctx: JobContext, pages: int) -> int:
        ctx.progress(50)
        assert not ctx.is_cancelled
        with pytest.raises(InvalidState, match="called directly"):
            _ = ctx.job
        return pages

    @queue.task
    async def areport(ctx: JobContext, pages: int) -> int:
        await ctx.aprogress(50)
        return pages

    assert report(3) == 3
    assert asyncio.run(areport(pages=4)) == 4
    assert queue.queues() == []


def test_a_running_job_learns_that_it_is_cancelled(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def work(ctx: JobContext) -> bool:
        queue.cancel(ctx.job.id)
        return ctx.is_cancelled

    handle = work.push()
    queue.run_worker(burst=True)

    assert handle.result(1) is True


def test_retry_snooze_and_discard_decide_the_outcome(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def decide(what: str) -> None:
        try:
            raise ConnectionError("gone")
        except ConnectionError as error:
            if what == "retry":
                raise Retry("no answer", delay_ms=7_000) from error
        if what == "snooze":
            raise Snooze(9_000)
        raise Discard("nobody wants it")

    retried, snoozed, discarded = (decide.push(what) for what in ("retry", "snooze", "discard"))
    before = queue.get_job(retried).created_at
    report = queue.run_worker(burst=True)

    assert (report.completed, report.failed, report.released) == (0, 2, 1)
    job = queue.get_job(retried)
    assert (job.state, job.attempt, job.delay_until) == (JobState.DELAYED, 1, before + timedelta(seconds=7))
    assert "no answer" in str(job.last_error)
    assert "ConnectionError: gone" in str(job.last_error)
    job = queue.get_job(snoozed)
    assert (job.state, job.attempt, job.delay_until) == (JobState.DELAYED, 0, before + timedelta(seconds=9))
    job = queue.get_job(discarded)
    assert (job.state, job.last_error) == (JobState.CANCELLED, "nobody wants it")
    with pytest.raises(JobCancelled, match="nobody wants it"):
        discarded.result(1)


def test_errors_are_retried_discarded_or_given_up_by_their_type(queue: PyQueue) -> None:
    errors: dict[str, Exception] = {"retry": ConnectionError("a"), "drop": KeyError("b"), "give up": ValueError("c")}

    @queue.task(
        queue="q",
        retry_on=(ConnectionError, TimeoutError),
        discard_on=KeyError,
        retry_delay_ms=lambda attempt, error: 1_000 * attempt if isinstance(error, ConnectionError) else 0,
    )
    def work(what: str) -> None:
        raise errors[what]

    handles = {what: work.push(what) for what in errors}
    queue.run_worker(burst=True)

    jobs = {what: handle.job() for what, handle in handles.items()}
    assert {what: job.state for what, job in jobs.items()} == {
        "retry": JobState.DELAYED,
        "drop": JobState.CANCELLED,
        "give up": JobState.DLQ,
    }
    assert jobs["retry"].delay_until == jobs["retry"].created_at + timedelta(seconds=1)
    assert all("Traceback" in str(job.last_error) for job in jobs.values())
    with pytest.raises(JobFailed):
        handles["give up"].result(1)


@pytest.mark.sqlite("the caller's transaction is one of sqlite3")
def test_a_task_joins_the_transaction_of_its_caller(queue: PyQueue, path: Path) -> None:
    @queue.task(queue="q")
    def work(number: int) -> int:
        return number

    queue.stats("q")
    database = sqlite3.connect(path)
    database.execute("BEGIN")
    work.on(database).push(1)
    database.rollback()
    with database:
        database.execute("BEGIN")
        kept = [work.options(priority=3).on(database).push(number=2), *work.on(database).map([3, 4])]
        with pytest.raises(ValidationError, match="parameter 'number'"):
            work.on(database).push("five")  # type: ignore[arg-type]
    database.close()
    queue.run_worker(burst=True)

    assert [handle.result(1) for handle in kept] == [2, 3, 4]
    assert kept[0].job().priority == 3
    assert sorted(job.data["number"] for job in queue.list_jobs().jobs) == [2, 3, 4]


def test_tasks_of_a_registry_belong_to_the_queue_that_includes_them(queue: PyQueue) -> None:
    tasks = Tasks()

    @tasks.task(queue="a", aliases=["old"])
    def work() -> str:
        return "done"

    with pytest.raises(ConfigError, match=r"'work' belongs to no queue yet; call queue.include\(tasks\)"):
        work.push()
    queue.include(tasks)
    handles = [work.push(), work.enqueue(), work.delay(), work.options(queue="b").push()]
    queue.push("a", "old")
    report = queue.run_worker(["a", "b"], burst=True)

    assert (report.completed, handles[3].result(1)) == (5, "done")
    with PyQueue.memory() as other, pytest.raises(ConfigError, match="another queue"):
        other.include(tasks)


def test_two_tasks_of_one_name_are_refused(queue: PyQueue) -> None:
    queue.task(name="work", aliases=["job"])(lambda: None)
    tasks = Tasks()
    tasks.task(name="other")(lambda: None)
    tasks.task(name="job")(lambda: None)

    with pytest.raises(ConfigError, match="two tasks are called 'work'"):
        queue.task(name="work")(lambda: None)
    with pytest.raises(ConfigError, match="two tasks are called 'job'"):
        queue.include(tasks)
    assert queue.tasks.names == ["work"]


def test_functions_that_cannot_be_tasks_are_refused(queue: PyQueue) -> None:
    def stars(*numbers: int) -> None: ...
    def bare(number: int, /) -> None: ...
    def strange(lock: asyncio.Lock) -> None: ...

    for function in (stars, bare):
        with pytest.raises(ConfigError, match="expected parameters with a name each"):
            queue.task(function)
    with pytest.raises(ConfigError, match="cannot be stored as JSON"):
        queue.task(strange)
    with pytest.raises(ValidationError, match="unknown job option"):
        queue.task(prioriti=3)  # type: ignore[call-overload]  # on purpose


def test_a_worker_without_handler_queues_or_tasks_says_so(queue: PyQueue) -> None:
    with pytest.raises(ConfigError, match="there are no tasks"):
        queue.worker()


def test_an_annotation_may_be_defined_later(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def send(to: LaterOn) -> str:
        return to.street

    handle = send.push(LaterOn("high street"))
    queue.run_worker(burst=True)

    assert handle.result(1) == "high street"


@dataclass
class LaterOn:
    street: str


def test_tasks_that_were_let_go_may_be_included_elsewhere(queue: PyQueue) -> None:
    tasks, other = Tasks(), Tasks()

    @tasks.every(minutes=5)
    @tasks.task(aliases=["older"])
    def work() -> None: ...

    queue.include(tasks)
    queue.tasks.exclude(other)
    queue.tasks.exclude(tasks)

    assert queue.tasks.names == [] and queue.tasks.schedules == {} and queue.tasks.find("older") is None
    with pytest.raises(ConfigError, match="belongs to no queue"):
        work.push()
    other.include(tasks)
    assert other.find("older") is work and list(other.schedules) == ["work"]
