"""What type checkers know of tasks: `make check` fails if a right call is refused or a wrong one accepted.

The functions are not called: `assert_type` and the ignores, of which none may be unused, are the test, by mypy (with
all other code) and by pyright (this file alone; `basedpyright` is the form of it that needs no Node.js installed).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import assert_type

from pyqueue import AsyncTask, Job, JobContext, JobHandle, PyQueue, Retry, Task, Tasks, current_job

ROOT = Path(__file__).parent.parent.parent

tasks = Tasks()


@dataclass
class Receipt:
    amount: int


@tasks.task
def plain(to: str, times: int = 1) -> float:
    return float(to) * times


@tasks.task(queue="q", max_attempts=2, retry_on=(ConnectionError, TimeoutError), discard_on=KeyError)
async def waits(number: int, *, loud: bool = False) -> str:
    return str(number)


@tasks.task(priority=3, retry_delay_ms=lambda attempt, error: attempt * 1_000, aliases=["old"])
def with_context(ctx: JobContext, number: int) -> int:
    return number


@tasks.task(name="other", tags=["a"])
async def async_with_context(ctx: JobContext, number: int | None = None) -> Receipt | None:
    if number is None:
        raise Retry(delay_ms=1_000)
    return await ctx.aonce("receipt", areceipt, number)


@tasks.task
def nothing() -> None: ...


def receipt(amount: int, *, currency: str = "EUR") -> Receipt:
    return Receipt(amount)


async def areceipt(amount: int) -> Receipt:
    return Receipt(amount)


def right_calls(queue: PyQueue) -> None:
    assert_type(plain("1"), float)
    assert_type(plain.push("1", times=2), JobHandle[float])
    assert_type(plain.enqueue("1"), JobHandle[float])
    assert_type(plain.delay(to="1"), JobHandle[float])
    assert_type(plain.push("1").result(timeout=1), float)
    assert_type(plain.push("1").job(), Job)
    assert_type(plain.options(priority=2).push("1"), JobHandle[float])
    assert_type(plain.map(["1", ("2", 3)]), list[JobHandle[float]])
    assert_type(plain.options(delay_ms=5).map([{"to": "1"}]), list[JobHandle[float]])
    assert_type(with_context.push(5), JobHandle[int])
    assert_type(with_context(5), int)
    assert_type(waits.push(1, loud=True), JobHandle[str])
    assert_type(async_with_context.push().result(), Receipt | None)
    assert_type(queue.push("q", "next", depends_on=[plain.push("1")]), str)
    assert_type(plain.on(object()).push("1"), JobHandle[float])
    assert_type(plain.options(priority=2).on(object()).map(["1"]), list[JobHandle[float]])
    nothing.push().result()


async def right_async_calls() -> None:
    assert_type(await waits(1), str)
    assert_type(await waits.apush(1), JobHandle[str])
    assert_type(await (await waits.apush(1)), str)
    assert_type(await (await plain.apush("1")).aresult(timeout=1), float)
    assert_type(await waits.options(queue="r").apush(1, loud=True), JobHandle[str])
    assert_type(await waits.amap([1, 2]), list[JobHandle[str]])
    assert_type(await async_with_context(3), Receipt | None)


def right_steps(queue: PyQueue, job: Job, ctx: JobContext) -> None:
    assert_type(ctx.once("receipt", receipt, 5, currency="USD"), Receipt)
    assert_type(queue.once(job, "receipt", receipt, 5), Receipt)
    assert_type(ctx.once("number", lambda: 5), int)
    assert_type(current_job(), Job | None)


def right_hooks(queue: PyQueue) -> None:
    @queue.wrap
    def yields(job: Job) -> Iterator[None]:
        yield

    @tasks.wrap
    async def ayields(job: Job) -> AsyncIterator[None]:
        yield

    @queue.wrap
    def gives(job: Job) -> AbstractContextManager[None]:
        return nullcontext()

    assert_type(gives(Job.__new__(Job)), AbstractContextManager[None])


def wrong_calls(queue: PyQueue, job: Job, ctx: JobContext) -> None:
    plain.push()  # type: ignore[call-arg]
    plain.push(1)  # type: ignore[arg-type]
    plain.delay(1)  # type: ignore[arg-type]
    plain.push("1", cc="2")  # type: ignore[call-arg]
    plain.options(prioritee=1)  # type: ignore[call-arg]
    plain.options(priority="high")  # type: ignore[arg-type]
    plain.options(queue="q").push(1)  # type: ignore[arg-type]
    plain.on(object()).push(1)  # type: ignore[arg-type]
    plain.push("1").result(timeout="soon")  # type: ignore[arg-type]
    waits.push(1, "loud")  # type: ignore[call-arg, arg-type]
    with_context.push("1")  # type: ignore[arg-type]
    with_context(JobContext(), 1)  # type: ignore[call-arg, arg-type]
    queue.task(max_attempts="2")  # type: ignore[call-overload]
    queue.task(retry_on="ConnectionError")  # type: ignore[call-overload]
    ctx.once("receipt", receipt)  # type: ignore[call-arg]
    ctx.once("receipt", receipt, "5")  # type: ignore[arg-type]
    queue.once(job.id, "receipt", receipt, 5)  # type: ignore[arg-type]
    number: str = ctx.once("receipt", receipt, 5)  # type: ignore[assignment]
    print(number)


async def wrong_async_calls(ctx: JobContext) -> None:
    await waits.apush("1")  # type: ignore[arg-type]
    await plain("1")  # type: ignore[misc]
    await ctx.aonce("receipt", receipt, 5)  # type: ignore[arg-type]
    text: int = await (await waits.apush(1))  # type: ignore[assignment]
    print(text)


def test_tasks_are_what_the_types_say() -> None:
    assert isinstance(plain, Task)
    assert not isinstance(plain, AsyncTask)
    assert isinstance(waits, AsyncTask)
    assert plain("2", 2) == 4.0


def test_pyright_agrees_with_every_line_of_this_file() -> None:
    command = [str(Path(sys.executable).with_name("basedpyright")), "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 warnings" in done.stdout
