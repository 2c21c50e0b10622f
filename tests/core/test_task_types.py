"""What the type checker knows of tasks: `make check` fails if a right call is refused or a wrong one accepted.

The functions are not called: `assert_type` and the ignores, of which none may be unused, are the test.
"""

from __future__ import annotations

from typing import assert_type

from pyqueue import AsyncTask, JobContext, JobHandle, PyQueue, Task, Tasks

tasks = Tasks()


@tasks.task
def plain(to: str, times: int = 1) -> float:
    return float(to) * times


@tasks.task(queue="q", max_attempts=2)
async def waits(number: int) -> str:
    return str(number)


@tasks.task(priority=3)
def with_context(ctx: JobContext, number: int) -> int:
    return number


def right_calls(queue: PyQueue) -> None:
    assert_type(plain("1"), float)
    assert_type(plain.push("1", times=2), JobHandle[float])
    assert_type(plain.push("1").result(timeout=1), float)
    assert_type(plain.options(priority=2).push("1"), JobHandle[float])
    assert_type(plain.map(["1", ("2", 3)]), list[JobHandle[float]])
    assert_type(with_context.push(5), JobHandle[int])
    assert_type(with_context(5), int)
    assert_type(queue.push("q", "next", depends_on=[plain.push("1")]), str)


async def right_async_calls() -> None:
    assert_type(await waits(1), str)
    assert_type(await waits.apush(1), JobHandle[str])
    assert_type(await (await waits.apush(1)), str)


def wrong_calls(queue: PyQueue) -> None:
    plain.push()  # type: ignore[call-arg]
    plain.push(1)  # type: ignore[arg-type]
    plain.push("1", cc="2")  # type: ignore[call-arg]
    plain.options(prioritee=1)  # type: ignore[call-arg]
    plain.options(queue="q").push(1)  # type: ignore[arg-type]
    with_context.push("1")  # type: ignore[arg-type]
    with_context(JobContext(), 1)  # type: ignore[call-arg, arg-type]
    queue.task(max_attempts="2")  # type: ignore[call-overload]


def test_tasks_are_what_the_types_say() -> None:
    assert isinstance(plain, Task)
    assert not isinstance(plain, AsyncTask)
    assert isinstance(waits, AsyncTask)
    assert plain("2", 2) == 4.0
