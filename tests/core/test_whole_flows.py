"""A flow as a whole: looked at, cancelled, retried, deleted; and what the parents of a job gave."""

from __future__ import annotations

import pytest

from pyqueue import JobState, ParentResults, PyQueue
from pyqueue.core.errors import InvalidState, ValidationError
from pyqueue.testing import FakeClock


def diamond(queue: PyQueue, flow_id: str = "f") -> list[str]:
    """top; left and right behind it; bottom behind both; and a job outside of the flow behind bottom."""
    ids = queue.push_many(
        "q",
        [
            {"name": "top", "ref": "top", "flow_id": flow_id},
            {"name": "left", "ref": "left", "depends_on": ["top"], "flow_id": flow_id},
            {"name": "right", "ref": "right", "depends_on": ["top"], "flow_id": flow_id},
            {"name": "bottom", "depends_on": ["left", "right"], "flow_id": flow_id},
        ],
    )
    return [*ids, queue.push("outside", "n", depends_on=[ids[-1]])]


def states(queue: PyQueue, ids: list[str]) -> list[str]:
    return [queue.get_job(job_id).state.value for job_id in ids]


def test_the_status_counts_the_jobs_and_shows_them_in_order(queue: PyQueue) -> None:
    ids = diamond(queue)
    queue.ack(queue.pull("q")[0])
    queue.pull("q")

    flow = queue.get_flow("f")

    assert [job.id for job in flow.jobs] == ids[:4]
    assert (flow.total, flow.ended, flow.progress, flow.is_finished) == (4, 1, 25, False)
    assert (flow.counts.completed, flow.counts.active, flow.counts.waiting, flow.counts.blocked) == (1, 1, 1, 1)
    assert set(flow.jobs[3].depends_on) == {ids[1], ids[2]}
    assert len(queue.get_flow("f", limit=2).jobs) == 2
    unknown = queue.get_flow("unknown")
    assert (unknown.jobs, unknown.total, unknown.progress, unknown.is_finished) == ([], 0, 0, False)


def test_a_cancelled_flow_starts_nothing_more_and_tells_those_that_run(queue: PyQueue) -> None:
    ids = diamond(queue)
    queue.ack(queue.pull("q")[0])
    [running] = queue.pull("q")

    assert queue.cancel_flow("f") == 3

    assert states(queue, ids) == ["completed", "active", "cancelled", "cancelled", "cancelled"]
    assert queue.heartbeat(running).cancel_requested
    queue.fail(running, "stopped")
    assert states(queue, ids)[1] == "cancelled"
    assert queue.cancel_flow("f") == 0


@pytest.mark.parametrize("end", ["dead", "cancelled", "each cancelled", "a branch dead"])
def test_a_retried_flow_runs_to_its_end(queue: PyQueue, end: str) -> None:
    ids = diamond(queue)
    if end == "dead":
        queue.fail(queue.pull("q")[0], "broken", retry=False)
    elif end == "cancelled":
        queue.cancel_flow("f")
    elif end == "each cancelled":
        for job_id in reversed(ids[:4]):
            queue.cancel(job_id)
    else:
        queue.ack(queue.pull("q")[0])
        left, right = queue.pull("q", count=2)
        queue.ack(left)
        queue.fail(right, "broken", retry=False)

    retried = queue.retry_flow("f")

    assert retried == (3 if end == "a branch dead" else 5)
    while jobs := queue.pull(["q", "outside"], count=9):
        queue.ack_many(jobs)
    assert states(queue, ids) == ["completed"] * 5
    assert queue.retry_flow("f") == 0


def test_a_deleted_flow_is_gone_with_all_that_belongs_to_it(queue: PyQueue) -> None:
    ids = diamond(queue)
    queue.ack(queue.pull("q")[0])
    [running] = queue.pull("q")
    with pytest.raises(InvalidState, match=f"1 active jobs, such as {running.id}.*Cancel the flow"):
        queue.delete_flow("f")
    queue.fail(running, "broken", retry=False)

    assert queue.delete_flow("f") == 4

    assert queue.get_flow("f").total == 0
    assert states(queue, ids[4:]) == ["dlq"], "it ended with the failure, before the flow was deleted"
    assert queue.delete_flow("f") == 0


def test_a_flow_is_independent_of_another_of_a_like_name(queue: PyQueue) -> None:
    diamond(queue, "f")
    others = diamond(queue, "f2")

    queue.cancel_flow("f")

    assert states(queue, others) == ["waiting", "blocked", "blocked", "blocked", "blocked"]
    with pytest.raises(ValidationError, match="flow_id ''"):
        queue.get_flow("")


def test_a_child_finds_the_results_of_its_parents_by_every_name(queue: PyQueue) -> None:
    *_, bottom, _ = diamond(queue)
    queue.ack(queue.pull("q")[0])
    for number, job in enumerate(queue.pull("q", count=2)):
        queue.ack(job, {"n": number})

    results = queue.parent_results(bottom)

    assert results.results == [{"n": 0}, {"n": 1}]
    assert (len(results), results[0], results["left"].result, results["right"].state) == (
        2, results["left"], {"n": 0}, JobState.COMPLETED,
    )  # fmt: skip
    assert results[results[1].id].name == "right"
    assert results["left"].result_as(dict[str, int]) == {"n": 0}
    with pytest.raises(ValidationError, match="no <class 'int'>"):
        results["left"].result_as(int)
    with pytest.raises(ValidationError, match=r"'nobody' names no parent.*left, right"):
        results["nobody"]
    assert queue.parent_results(queue.get_job(bottom).depends_on[0])["top"].result is None


@pytest.mark.parametrize("how", ["remove_on_complete", "deleted", "purged", "retention"])
def test_the_result_of_a_parent_outlives_it(queue: PyQueue, clock: FakeClock, how: str) -> None:
    parent = queue.push("p", "n", remove_on_complete=how == "remove_on_complete")
    children = [queue.push("q", "n", depends_on=[parent]) for _ in range(2)]
    queue.ack(queue.pull("p")[0], {"rows": 3})

    match how:
        case "deleted":
            queue.delete(parent)
        case "purged":
            queue.purge("p")
        case "retention":
            clock.advance(seconds=8 * 24 * 3_600)
            assert queue.housekeep().removed == 1

    for job in queue.pull("q", count=2):
        [result] = queue.parent_results(job)
        assert (result.id, result.name, result.state, result.result) == (parent, None, None, {"rows": 3})
    assert len(children) == 2


def test_a_job_without_parents_has_no_results(queue: PyQueue) -> None:
    results = queue.parent_results(queue.push("q", "n"))

    assert (list(results), results.results) == ([], [])
    assert list(ParentResults(())) == []
