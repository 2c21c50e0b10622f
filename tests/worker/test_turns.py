"""Strict and weighted order of queues."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqueue import PyQueue
from pyqueue.core.errors import ValidationError
from pyqueue.core.worker.turns import Weighted, parse

pytestmark = pytest.mark.sqlite


def taken(turns: Weighted, ready: Counter[str], count: int) -> list[str]:
    """Claims as a worker does: all it can from the first queue before it looks at the next."""
    names: list[str] = []
    for queue in turns.order():
        number = min(ready[queue], count - len(names))
        ready[queue] -= number
        names += [queue] * number
    turns.note(names)
    return names


weights = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 20), min_size=1)


@given(weights=weights, count=st.integers(1, 7))
def test_while_all_have_jobs_each_gets_its_share(weights: dict[str, int], count: int) -> None:
    turns, ready = Weighted(weights), Counter(dict.fromkeys(weights, 10**9))

    served = Counter(queue for _ in range(500) for queue in taken(turns, ready, count))

    total, jobs = sum(weights.values()), sum(served.values())
    for queue, weight in weights.items():
        assert abs(served[queue] - jobs * weight / total) <= 2 * count + total


@given(weights=weights, claims=st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 50), st.integers(1, 9))))
def test_no_queue_with_jobs_is_passed_over_for_long(
    weights: dict[str, int], claims: list[tuple[str, int, int]]
) -> None:
    """However the queues filled before: being empty earns no credit that the others would have to pay off."""
    turns, ready = Weighted(weights), Counter[str]()
    for queue, pushed, count in claims:
        if queue in weights:
            ready[queue] += pushed
        taken(turns, ready, count)

    full = Counter(dict.fromkeys(weights, 10**9))
    served = Counter(queue for _ in range(10 * sum(weights.values())) for queue in taken(turns, full, 1))

    assert set(served) == set(weights)


def test_a_worker_serves_by_weight(queue: PyQueue) -> None:
    seen: list[str] = []
    for name in ("a", "b"):
        queue.push_many(name, [{"name": name}] * 40)

    queue.run_worker({"a": 3, "b": 1}, lambda job: seen.append(job.name), prefetch_ms=0, max_jobs=40)

    assert Counter(seen) == {"a": 30, "b": 10}


def test_a_worker_with_weights_works_on_when_a_queue_is_empty(queue: PyQueue) -> None:
    queue.push_many("b", [{"name": "n"}] * 5)

    assert queue.run_worker({"a": 100, "b": 1}, lambda job: None, burst=True).completed == 5


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("emails", ["emails"]),
        (" emails , reports,", ["emails", "reports"]),
        ("emails=3,reports=1", {"emails": 3, "reports": 1}),
        ("a = 10", {"a": 10}),
    ],
)
def test_the_syntax_of_the_command_line(text: str, parsed: object) -> None:
    assert parse(text) == parsed


@pytest.mark.parametrize("text", ["a=3,b", "a=x", "a=", "a=-1", "a=1.5", "a=1,a=2"])
def test_half_a_weighting_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"expected names in order.*or each of them once with a weight"):
        parse(text)


@pytest.mark.parametrize("weight", [0, -1, 1_001, 1.5, "3"])
def test_a_weight_that_is_none_is_refused(queue: PyQueue, weight: object) -> None:
    with pytest.raises(ValidationError, match="the weight of queue 'a'"):
        queue.worker({"a": weight}, print)  # type: ignore[dict-item]
