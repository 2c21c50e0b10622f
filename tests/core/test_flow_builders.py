"""Flows put together in code: checked as a whole, stored in one transaction, results handed on by name."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from pyqueue import PREVIOUS, JobContext, JobState, PyQueue, Tasks, chain, chord, group
from pyqueue.core.errors import ConfigError, QueuePaused, ValidationError

tasks = Tasks()


@tasks.task
def number(value: int) -> int:
    return value


@tasks.task(queue="sums", max_attempts=1)
def add(left: int, right: int = 10) -> int:
    return left + right


@tasks.task
def total(values: list[int]) -> int:
    return sum(values)


@tasks.task
async def tell(ctx: JobContext, what: Any = None) -> list[Any]:
    return [what, ctx.job.depends_on, (await ctx.aparent_results()).results]


@tasks.task(max_attempts=1)
def broken() -> int:
    raise ValueError("broken")


@pytest.fixture(autouse=True)
def included(queue: PyQueue) -> None:
    tasks._outer = None  # Each test has a queue of its own.
    queue.include(tasks)


def run(queue: PyQueue) -> None:
    queue.run_worker(["default", "sums"], burst=True)


def test_a_chain_hands_the_result_of_each_step_to_the_next(queue: PyQueue) -> None:
    pushed = chain(number.call(1), add.call(PREVIOUS), add.call(PREVIOUS, right=100)).push(flow_id="sums")
    assert [job.state.value for job in queue.get_flow("sums").jobs] == ["waiting", "blocked", "blocked"]

    run(queue)

    assert pushed.last.result(timeout=1) == 111
    assert pushed.status().is_finished
    assert list(pushed.handles) == ["number", "add", "add-3"]


def test_a_chord_hands_the_results_of_its_group_on_in_order(queue: PyQueue) -> None:
    branches = group(number.call(3), number.call(1), chain(number.call(4), add.call(PREVIOUS, 1)))
    handle = chord(branches, tell.call(PREVIOUS)).push().last

    run(queue)

    values, parents, results = handle.result(timeout=1)
    assert (values, results) == ([3, 1, 5], [3, 1, 5])
    assert len(parents) == 3


def test_groups_and_chains_nest(queue: PyQueue) -> None:
    steps = chain(
        group(number.call(1), number.call(2)),
        total.call(PREVIOUS),
        group(add.call(PREVIOUS), chain(add.call(PREVIOUS, 20), add.call(PREVIOUS, 30))),
        total.call(PREVIOUS),
    )

    last = steps.push().last
    run(queue)

    assert last.result(timeout=1) == 13 + 53


def test_any_flow_can_be_built_job_by_job(queue: PyQueue) -> None:
    before = number.push(7)
    flow = queue.flow()
    one = flow.add(number.call(1), ref="one")
    two = flow.add(number.options(priority=3).call(2), after=[before])
    both = flow.add(total.call([one.result, two.result]))
    raw = flow.add("raw", "thing", {"sum": both.result, "parts": [two.result, one.result], "plain": 0}, after=[one])

    pushed = flow.push()

    assert queue.get_job(pushed[two]).priority == 3
    run(queue)
    assert pushed[both].result(timeout=1) == 3
    [job] = queue.pull("raw")
    assert (job.id, job.data, job.flow_id) == (pushed[raw], {"sum": 3, "parts": [1, 2], "plain": 0}, flow.flow_id)
    assert queue.parent_results(job)["one"].result == 1
    assert queue.get_job(job).data == job.data


def test_a_blocked_job_shows_the_arguments_that_it_has(queue: PyQueue) -> None:
    flow = queue.flow()
    first = flow.add(number.call(1))
    second = flow.add(add.call(first.result, 5))
    pushed = flow.push()

    assert queue.get_job(pushed[second]).data == {"right": 5}


def test_a_job_that_goes_on_after_a_failure_gets_null_for_the_result(queue: PyQueue) -> None:
    flow = queue.flow()
    failing = flow.add(broken.call())
    cleanup = flow.add(tell.options(on_parent_failure="run").call(failing.result))
    pushed = flow.push()

    run(queue)

    assert queue.get_job(pushed[failing]).state is JobState.DLQ
    assert pushed[cleanup].result(timeout=1)[0] is None


def test_a_result_that_does_not_fit_fails_the_job_and_names_the_parameter(queue: PyQueue) -> None:
    pushed = chain(tell.call(1), add.call(PREVIOUS)).push()

    run(queue)

    job = pushed.last.job()
    assert job.state is JobState.DLQ and "parameter 'left'" in str(job.last_error)


def circle(queue: PyQueue) -> None:
    flow = queue.flow()
    first = flow.add(number.call(1))
    second = flow.add(add.call(first.result), after=[first])
    first._after = [second]
    flow.push()


def foreign(queue: PyQueue) -> None:
    stranger = queue.flow().add(number.call(1))
    flow = queue.flow()
    flow.add(number.call(2), after=[stranger])
    flow.push()


def twice(queue: PyQueue) -> None:
    flow = queue.flow()
    flow.add(number.call(1))
    flow.push()
    queue.delete_flow(flow.flow_id)
    flow.push()


WRONG: dict[str, tuple[Callable[[PyQueue], Any], str]] = {
    "no jobs": (lambda queue: queue.flow().push(), "without jobs"),
    "circle": (circle, "circle: 'number' → 'add' → 'number'"),
    "foreign": (foreign, "belongs to another flow"),
    "pushed twice": (twice, "was pushed already"),
    "ref twice": (lambda queue: [each.add(number.call(1), ref="a") for each in [queue.flow()] * 2], "stands twice"),
    "depends_on": (lambda queue: queue.flow().add(number.options(depends_on=["x"]).call(1)), "expected after="),
    "after a text": (lambda queue: queue.flow().add(number.call(1), after="x"), "expected a list"),
    "after a number": (lambda queue: queue.flow().add(number.call(1), after=[1]), "after has 1"),  # type: ignore[list-item]  # on purpose
    "not a call": (lambda queue: queue.flow().add(number), "expected task.call"),  # type: ignore[call-overload]  # on purpose
    "no previous": (lambda _: chain(add.call(PREVIOUS)).push(), "PREVIOUS stands where no step comes before"),
    "previous in a flow": (lambda queue: queue.flow().add(add.call(PREVIOUS)), "PREVIOUS stands"),
    "empty chain": (lambda _: chain(), "chain\\(\\) without anything"),
    "empty group": (lambda _: group(), "group\\(\\) without anything"),
    "a task in a chain": (lambda _: chain(number), "expected task.call"),  # type: ignore[arg-type]  # on purpose
    "unknown argument": (lambda _: add.call(lft=PREVIOUS), "missing a required argument: 'left'"),  # type: ignore[call-arg]  # on purpose
    "wrong value beside": (lambda _: add.call(PREVIOUS, "x"), "parameter 'right'"),  # type: ignore[arg-type]  # on purpose
    "mixed list": (lambda _: total.call([1, PREVIOUS]), "of nothing else"),
    "data no mapping": (lambda queue: queue.flow().add("q", "n", [1]), "expected a mapping"),  # type: ignore[call-overload]  # on purpose
    "unknown parent": (lambda queue: unknown_parent(queue), "neither the id of a job nor a ref"),
}


def unknown_parent(queue: PyQueue) -> None:
    flow = queue.flow()
    flow.add(number.call(1), after=["nobody"])
    flow.push()


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused_and_nothing_is_stored(queue: PyQueue, what: str) -> None:
    call, says = WRONG[what]

    with pytest.raises(ValidationError, match=says):
        call(queue)

    assert queue.queues() == []


def test_a_paused_queue_refuses_the_whole_flow(queue: PyQueue) -> None:
    queue.pause("sums")

    with pytest.raises(QueuePaused):
        chain(number.call(1), add.call(PREVIOUS)).push()

    assert queue.stats("default").total == 0


@pytest.mark.sqlite("joins a sqlite3 connection")
@pytest.mark.sqlite("a sqlite3 connection")
def test_a_flow_can_be_part_of_the_callers_transaction(queue: PyQueue) -> None:
    queue.stats("q")
    with closing(sqlite3.connect(queue.path, isolation_level=None)) as connection:
        for end in ("ROLLBACK", "COMMIT"):
            connection.execute("BEGIN IMMEDIATE")
            pushed = chain(number.call(1), add.call(PREVIOUS)).push(flow_id=end, on=connection)
            connection.execute(end)

    assert (queue.get_flow("ROLLBACK").total, queue.get_flow("COMMIT").total) == (0, 2)
    run(queue)
    assert pushed.last.result(timeout=1) == 11


def test_a_flow_is_built_and_pushed_on_an_event_loop(queue: PyQueue) -> None:
    async def live() -> Any:
        pushed = await chain(number.call(1), add.call(PREVIOUS)).apush()
        await asyncio.to_thread(run, queue)
        assert (await queue.aget_flow(pushed.flow_id)).is_finished
        return await pushed.last

    assert asyncio.run(live()) == 11


def test_a_task_without_a_queue_cannot_be_pushed_in_a_chain() -> None:
    @Tasks().task
    def lonely() -> None: ...

    with pytest.raises(ConfigError, match="belongs to no queue"):
        chain(lonely.call()).push()


def test_hooks_around_pushes_see_flows(queue: PyQueue) -> None:
    seen: list[Any] = []

    @queue.wrap_push
    def hook(pushing: Any) -> Any:
        pushing.metadata["trace"] = "t"
        yield
        seen.append((list(pushing.names), len(pushing.ids)))

    pushed = chain(number.call(1), add.call(PREVIOUS)).push()

    assert seen == [(["number", "add"], 2)]
    assert [job.metadata for job in pushed.status().jobs] == [{"trace": "t"}] * 2
