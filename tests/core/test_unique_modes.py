"""What becomes of a push whose unique key is held: each mode, its period and its states."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyqueue import JobState, PushOutcome, PyQueue
from pyqueue.core.errors import DuplicateKey, JobNotFound, ValidationError
from pyqueue.testing import FakeClock


def push(queue: PyQueue, mode: str, data: Any = None, **options: Any) -> str:
    return queue.push("q", "n", data, unique_key="k", unique_mode=mode, **options)


def throttled(queue: PyQueue, **options: Any) -> str:
    return push(queue, "throttle", unique_for_ms=1_000, **options)


# --- ignore ---------------------------------------------------------------------------------------------


def test_an_ignored_push_returns_the_job_there_is(queue: PyQueue) -> None:
    first = queue.push("q", "n", {"n": 1}, unique_key="k")

    assert push(queue, "ignore", {"n": 2}) == first
    queue.pull("q")
    assert push(queue, "ignore", {"n": 3}) == first
    assert queue.get_job(first).data == {"n": 1}
    assert queue.stats("q").total == 1


def test_a_key_is_free_when_its_job_has_ended(queue: PyQueue) -> None:
    first = push(queue, "ignore")
    queue.ack(queue.pull("q")[0])

    assert push(queue, "ignore") != first
    assert queue.push("other", "n", unique_key="k", unique_mode="ignore")


# --- replace --------------------------------------------------------------------------------------------


def test_a_replaced_job_keeps_its_id_and_place_and_takes_the_rest(queue: PyQueue) -> None:
    first = queue.push("q", "old", {"n": 1}, unique_key="k", tags=["a", "b"], max_attempts=9, remove_on_fail=True)
    queue.push("q", "second")

    again = queue.push(
        "q", "new", {"n": 2}, unique_key="k", unique_mode="replace", tags=["b", "c"], timeout_ms=5, custom_id="mine"
    )

    job = queue.get_job(first)
    assert again == first
    assert (job.name, job.data, job.tags, job.timeout_ms, job.custom_id) == ("new", {"n": 2}, ("b", "c"), 5, "mine")
    assert (job.max_attempts, job.remove_on_fail, job.unique_key) == (3, False, "k")
    assert [[each.id for each in queue.list_jobs(tag=tag).jobs] for tag in "abc"] == [[], [first], [first]]
    assert queue.pull("q")[0].id == first


def test_a_delayed_job_that_is_replaced_keeps_its_time(queue: PyQueue, clock: FakeClock) -> None:
    first = push(queue, "replace", 1, delay_ms=1_000)
    clock.advance(ms=900)

    push(queue, "replace", 2, delay_ms=1_000)

    clock.advance(ms=100)
    [job] = queue.pull("q")
    assert (job.id, job.data) == (first, 2)


def test_a_job_that_waits_for_another_try_is_replaced_with_all_its_attempts(queue: PyQueue) -> None:
    first = push(queue, "replace", 1, max_attempts=2)
    queue.fail(queue.pull("q")[0], "broken")

    push(queue, "replace", 2, max_attempts=2)

    job = queue.get_job(first)
    assert (job.state, job.attempt, job.data) == (JobState.DELAYED, 0, 2)


def test_a_push_while_the_job_runs_is_a_new_job_that_has_the_key(queue: PyQueue) -> None:
    first = push(queue, "replace", 1)
    [running] = queue.pull("q")

    second = push(queue, "replace", 2)
    assert push(queue, "replace", 3) == second != first

    queue.fail(running, "broken", delay_ms=0)
    assert queue.get_job(first).unique_key is None
    assert [job.data for job in queue.pull("q", count=9)] == [1, 3]


def test_a_running_job_that_counts_cannot_be_replaced(queue: PyQueue) -> None:
    push(queue, "replace")
    queue.pull("q")

    with pytest.raises(DuplicateKey, match="which is active"):
        push(queue, "replace", unique_states=["waiting", "active"])


def test_the_children_of_a_replaced_job_still_wait_for_it(queue: PyQueue) -> None:
    parent = push(queue, "replace", 1)
    child = queue.push("q", "child", depends_on=[parent])

    push(queue, "replace", 2, remove_on_complete=True)
    queue.ack(queue.pull("q")[0])

    assert [job.id for job in queue.pull("q")] == [child]
    with pytest.raises(JobNotFound):
        queue.get_job(parent)


# --- debounce -------------------------------------------------------------------------------------------


def test_a_debounced_job_runs_once_when_the_pushes_have_stopped(queue: PyQueue, clock: FakeClock) -> None:
    ids = set()
    for number in range(5):
        ids.add(push(queue, "debounce", number, delay_ms=1_000))
        clock.advance(ms=900)
        assert queue.pull("q") == []

    clock.advance(ms=100)
    [job] = queue.pull("q")
    assert ({job.id}, job.data) == (ids, 4)


def test_a_debounced_job_is_not_put_off_for_ever(queue: PyQueue, clock: FakeClock) -> None:
    for number in range(3):
        push(queue, "debounce", number, delay_ms=1_000, unique_for_ms=2_500)
        clock.advance(ms=900)
        assert queue.stats("q").active == len(queue.pull("q")) == 0 or number == 2

    assert queue.get_job(queue.list_jobs().jobs[0]).data == 2
    assert queue.stats("q").active == 1


def test_a_debounce_makes_a_waiting_job_wait_again(queue: PyQueue, clock: FakeClock) -> None:
    first = queue.push("q", "n", unique_key="k")

    assert push(queue, "debounce", delay_ms=50) == first

    assert queue.pull("q") == []
    assert queue.stats("q").delayed == 1
    clock.advance(ms=50)
    assert len(queue.pull("q")) == 1


# --- throttle and periods -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["waits", "completed", "dead", "cancelled", "removed"])
def test_a_throttled_push_has_an_effect_once_in_its_period(queue: PyQueue, clock: FakeClock, end: str) -> None:
    first = throttled(queue, max_attempts=1, remove_on_complete=end == "removed")
    match end:
        case "completed" | "removed":
            queue.ack(queue.pull("q")[0])
        case "dead":
            queue.fail(queue.pull("q")[0], "broken")
        case "cancelled":
            queue.cancel(first)

    clock.advance(ms=999)
    assert throttled(queue) == first
    clock.advance(ms=1)
    assert (throttled(queue) == first) == (end == "waits"), "never two at once"


def test_a_period_holds_the_key_of_a_completed_job_but_not_of_a_dead_one(queue: PyQueue, clock: FakeClock) -> None:
    first = push(queue, "reject", unique_for_ms=1_000)
    queue.ack(queue.pull("q")[0])
    with pytest.raises(DuplicateKey, match=f"held by job {first}.*completed"):
        push(queue, "reject", unique_for_ms=1_000)

    clock.advance(ms=1_000)
    second = push(queue, "reject", unique_for_ms=1_000, max_attempts=1)
    queue.fail(queue.pull("q")[0], "broken")

    assert push(queue, "reject", unique_for_ms=1_000) not in (first, second)


def test_states_say_which_jobs_count(queue: PyQueue) -> None:
    first = push(queue, "ignore", unique_states=["waiting"])
    assert push(queue, "ignore", unique_states=["waiting"]) == first
    queue.pull("q")

    second = push(queue, "ignore", unique_states=["waiting"])

    assert second != first
    assert queue.get_job(second).unique_key == "k"


# --- batches, outcomes, twins ---------------------------------------------------------------------------


def test_in_a_batch_each_push_sees_those_before_it(queue: PyQueue) -> None:
    held = queue.push("q", "n", {"n": 0}, unique_key="held")

    def job(key: str | None, mode: str | None, number: int) -> dict[str, Any]:
        return {"name": "n", "data": {"n": number}, "unique_key": key, "unique_mode": mode}

    ids = queue.push_many(
        "q",
        [
            job("a", "ignore", 1),
            job("a", "ignore", 2),
            job(None, None, 3),
            job("b", "replace", 4),
            job("b", "replace", 5),
            job("held", "replace", 6),
            job("held", "ignore", 7),
            job("held", "replace", 8),
        ],
    )

    data = {each.id: each.data["n"] for each in queue.list_jobs().jobs}
    assert [data[each] for each in ids] == [1, 1, 3, 5, 5, 8, 8, 8]
    assert ids[5] == held
    assert queue.stats("q").total == 4


def test_a_batch_in_which_one_is_refused_changes_nothing(queue: PyQueue) -> None:
    held = queue.push("q", "n", 1, unique_key="held")
    other = queue.push("q", "n", unique_key="other")

    with pytest.raises(DuplicateKey):
        queue.push_many(
            "q",
            [
                {"name": "n", "data": 2, "unique_key": "held", "unique_mode": "replace"},
                {"name": "n", "unique_key": "other"},
            ],
        )

    assert (queue.get_job(held).data, queue.stats("q").total) == (1, 2)
    assert queue.get_job(other).unique_key == "other"


def test_a_push_tells_what_it_has_done(queue: PyQueue) -> None:
    def outcome(mode: str) -> PushOutcome:
        return queue.push_unique("q", "n", unique_key="k", unique_mode=mode).outcome

    assert [outcome(mode) for mode in ("ignore", "ignore", "replace")] == ["pushed", "ignored", "replaced"]
    result = asyncio.run(queue.apush_unique("q", "n", unique_key="k", unique_mode="ignore"))
    assert result.outcome is PushOutcome.IGNORED
    assert queue.push_unique("q", "n").outcome == "pushed"


def test_pushes_of_a_hundred_tasks_come_to_one_job(path: Any) -> None:
    async def run() -> set[str]:
        async with PyQueue(path) as queue:
            return set(
                await asyncio.gather(
                    *(queue.apush("q", "n", number, unique_key="k", unique_mode="ignore") for number in range(100))
                )
            )

    assert len(asyncio.run(run())) == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"unique_key": None, "unique_mode": "ignore"}, "without a unique_key"),
        ({"unique_key": None, "unique_for_ms": 5}, "without a unique_key"),
        ({"unique_mode": "first"}, "expected one of: reject, ignore, replace, debounce, throttle"),
        ({"unique_mode": "throttle"}, "without unique_for_ms"),
        ({"unique_mode": "debounce"}, "without delay_ms"),
        ({"unique_mode": "replace", "unique_for_ms": 5}, "knows no period"),
        ({"unique_mode": "replace", "depends_on": ["x"]}, "keeps its parents"),
        ({"unique_states": ["completed"]}, "without unique_for_ms"),
        ({"unique_states": ["over"]}, "some of: waiting"),
        ({"unique_states": []}, "some of: waiting"),
        ({"unique_for_ms": 0}, "unique_for_ms 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(queue: PyQueue, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        queue.push("q", "n", **{"unique_key": "k", **wrong})

    assert queue.stats("q").total == 0
