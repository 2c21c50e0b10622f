"""Groups take turns: whatever one of them pushes, and however, the others are not kept waiting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.testing import FakeClock

Push = Callable[[PyQueue, str, int], None]
Pull = Callable[[PyQueue, int], list[str]]


def push_singly(queue: PyQueue, group: str, count: int) -> None:
    for _ in range(count):
        queue.push("q", group, group_id=group)


def push_as_batch(queue: PyQueue, group: str, count: int) -> None:
    queue.push_many("q", [{"name": group, "group_id": group}] * count)


def pull_names(queue: PyQueue, count: int) -> list[str]:
    return [job.name for job in queue.pull("q", count=count)]


def pull_singly(queue: PyQueue, count: int) -> list[str]:
    return [name for _ in range(count) for name in pull_names(queue, 1)]


@pytest.mark.parametrize("push_a", [push_singly, push_as_batch])
@pytest.mark.parametrize("push_b", [push_singly, push_as_batch])
@pytest.mark.parametrize("pull", [pull_names, pull_singly])
def test_two_groups_take_turns_however_they_push_and_are_pulled(
    queue: PyQueue, push_a: Push, push_b: Push, pull: Pull
) -> None:
    push_a(queue, "a", 30)
    push_b(queue, "b", 5)

    names = pull(queue, 12)

    assert names == ["a", "b"] * 5 + ["a", "a"]


def test_a_hundred_jobs_of_a_group_delay_a_late_group_by_one_turn(queue: PyQueue) -> None:
    push_as_batch(queue, "a", 100)
    pull_names(queue, 40)

    push_singly(queue, "b", 1)

    assert "b" in pull_names(queue, 2)


def test_a_group_that_pushes_one_at_a_time_gets_no_more_than_its_turn(queue: PyQueue) -> None:
    push_as_batch(queue, "a", 40)
    taken = []
    for _ in range(20):
        push_singly(queue, "b", 1)
        taken += pull_singly(queue, 2)

    assert taken.count("a") == taken.count("b") == 20


def test_jobs_without_a_group_do_not_starve_a_group(queue: PyQueue) -> None:
    """They once went before every group for as long as one of them was waiting."""
    push_singly(queue, "a", 1)
    queue.push("q", "plain")
    taken = []
    for _ in range(5):
        queue.push_many("q", [{"name": "plain"}] * 2)
        taken += pull_names(queue, 1)

    assert "a" in taken


def test_a_group_does_not_starve_jobs_without_one(queue: PyQueue) -> None:
    push_as_batch(queue, "a", 100)
    pull_names(queue, 10)

    queue.push("q", "plain")

    assert "plain" in pull_names(queue, 2)


def test_what_waited_before_the_first_group_came_goes_first(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "plain"}] * 3)
    push_as_batch(queue, "a", 3)

    assert pull_names(queue, 6) == ["plain"] * 3 + ["a"] * 3


def test_the_first_batch_with_a_group_is_pulled_in_its_order(queue: PyQueue) -> None:
    """Jobs without options are stored in a statement of their own, and went before those with some."""
    queue.push_many("q", [{"name": "a", "group_id": "a"}, {"name": "b", "tags": ["t"]}, {"name": "c"}])

    assert pull_names(queue, 3) == ["a", "b", "c"]


def test_a_higher_priority_goes_before_all_turns(queue: PyQueue) -> None:
    push_as_batch(queue, "a", 3)
    queue.push("q", "b", group_id="b", priority=1)
    queue.push("q", "b", group_id="b", priority=1)

    assert pull_names(queue, 3) == ["b", "b", "a"]


def test_turns_of_one_queue_are_none_of_another_queues_business(queue: PyQueue) -> None:
    push_as_batch(queue, "a", 50)
    pull_names(queue, 50)

    queue.push_many("other", [{"name": each, "group_id": each} for each in "aab"])

    assert [job.name for job in queue.pull("other", count=3)] == ["a", "b", "a"]


def test_the_turns_stay_as_they_are_when_the_file_is_opened_again(path: Path) -> None:
    with PyQueue(path) as queue:
        push_as_batch(queue, "a", 20)
        push_as_batch(queue, "b", 20)
        assert pull_names(queue, 11).count("a") == 6

    with PyQueue(path) as queue:
        push_singly(queue, "a", 20)
        assert pull_names(queue, 10).count("b") == 5


def test_a_failed_job_of_a_group_comes_again_before_its_younger_ones(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("q", [{"name": f"a{number}", "group_id": "a"} for number in range(3)])
    [first] = queue.pull("q")
    queue.fail(first, "broken", delay_ms=1)
    clock.advance(ms=1)

    assert pull_names(queue, 3) == ["a0", "a1", "a2"]
