"""Jobs that depend on jobs: who is released, who ends with whom, however wide or deep the flow is."""

from __future__ import annotations

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import InvalidState, ValidationError
from pyqueue.testing import FakeClock


def states(queue: PyQueue, ids: list[str]) -> list[str]:
    return [queue.get_job(job_id).state.value for job_id in ids]


def chain(queue: PyQueue, length: int) -> list[str]:
    """Jobs of which each waits for the one before it."""
    ids = [queue.push("q", "n")]
    for _ in range(length - 1):
        ids.append(queue.push("q", "n", depends_on=[ids[-1]]))
    return ids


def test_a_chain_runs_in_order_one_at_a_time(queue: PyQueue) -> None:
    ids = chain(queue, 5)

    done = []
    while jobs := queue.pull("q", count=9):
        [job] = jobs
        queue.ack(job)
        done.append(job.id)

    assert done == ids


@pytest.mark.parametrize("end", ["dlq", "cancelled", "deleted", "expired", "purged"])
def test_a_long_chain_ends_with_its_first_job(queue: PyQueue, clock: FakeClock, end: str) -> None:
    first = queue.push("first", "n", ttl_ms=1_000)
    rest = [queue.push("q", "n", depends_on=[first])]
    for _ in range(200):
        rest.append(queue.push("q", "n", depends_on=[rest[-1]]))

    match end:
        case "dlq":
            queue.fail(queue.pull("first")[0], "broken", retry=False)
        case "cancelled":
            queue.cancel(first)
        case "deleted":
            queue.delete(first)
        case "expired":
            clock.advance(seconds=1)
            assert queue.housekeep().expired == 1
        case "purged":
            assert queue.purge("first") == 1

    assert set(states(queue, rest)) == {"dlq" if end == "dlq" else "cancelled"}
    assert first in str(queue.get_job(rest[0]).last_error)
    assert rest[-2] in str(queue.get_job(rest[-1]).last_error)
    assert queue.stats("q").blocked == 0


def test_a_diamond_waits_for_both_sides(queue: PyQueue) -> None:
    top = queue.push("q", "top")
    left, right = (queue.push("q", side, depends_on=[top]) for side in ("left", "right"))
    bottom = queue.push("q", "bottom", depends_on=[left, right])

    queue.ack(queue.pull("q")[0])
    one, other = queue.pull("q", count=9)
    queue.ack_many([one])
    assert queue.get_job(bottom).state is JobState.BLOCKED
    queue.ack_many([other])

    assert [job.id for job in queue.pull("q", count=9)] == [bottom]


def test_one_call_of_ack_many_releases_a_child_of_all_its_parents(queue: PyQueue) -> None:
    parents = queue.push_many("p", [{"name": "n"}] * 20)
    child = queue.push("q", "n", depends_on=parents)

    queue.ack_many(queue.pull("p", count=20))

    assert queue.get_job(child).state is JobState.WAITING


def test_a_batch_honours_dependencies(queue: PyQueue) -> None:
    parent = queue.push("p", "n")

    ids = queue.push_many("q", [{"name": "free"}, {"name": "bound", "depends_on": [parent]}])

    assert states(queue, ids) == ["waiting", "blocked"]


def test_a_parent_removed_on_completion_releases_its_child(queue: PyQueue) -> None:
    parent = queue.push("p", "n", remove_on_complete=True)
    child = queue.push("q", "n", depends_on=[parent])

    queue.ack(queue.pull("p")[0])

    [job] = queue.pull("q")
    assert (job.id, job.depends_on) == (child, (parent,))


def test_a_parent_that_fails_and_is_tried_again_keeps_its_child_waiting(queue: PyQueue) -> None:
    queue_ids = chain(queue, 2)
    queue.fail(queue.pull("q")[0], "broken", delay_ms=0)
    assert states(queue, queue_ids) == ["waiting", "blocked"]

    queue.ack(queue.pull("q")[0])

    assert states(queue, queue_ids) == ["completed", "waiting"]


def test_a_child_ends_with_the_first_parent_that_fails_and_later_ones_change_nothing(queue: PyQueue) -> None:
    good, bad = queue.push_many("p", [{"name": "n"}] * 2)
    child = queue.push("q", "n", depends_on=[good, bad])
    one, other = queue.pull("p", count=2)

    queue.fail(other, "broken", retry=False)
    queue.ack(one)

    job = queue.get_job(child)
    assert (job.state, job.last_error) == (JobState.DLQ, f"parent job '{bad}' moved to DLQ")
    assert (job.attempt, queue.attempts(child)) == (0, [])


def test_a_retry_revives_what_ended_only_because_of_the_job(queue: PyQueue) -> None:
    root, middle, leaf = ids = chain(queue, 3)
    queue.fail(queue.pull("q")[0], "broken", retry=False)
    with pytest.raises(InvalidState, match=f"depends on job {middle}.*Retry that job first"):
        queue.retry(leaf)

    queue.retry(root)

    assert states(queue, ids) == ["waiting", "blocked", "blocked"]
    for job_id in (root, middle, leaf):
        [job] = queue.pull("q")
        assert job.id == job_id
        queue.ack(job)


def test_a_child_with_a_delay_waits_for_both(queue: PyQueue, clock: FakeClock) -> None:
    parent = queue.push("p", "n")
    child = queue.push("q", "n", depends_on=[parent], delay_ms=1_000)
    clock.advance(seconds=2)
    assert queue.pull("q") == []

    queue.ack(queue.pull("p")[0])

    assert [job.id for job in queue.pull("q")] == [child]


def test_a_blocked_job_expires_too(queue: PyQueue, clock: FakeClock) -> None:
    parent = queue.push("p", "n")
    child = queue.push("q", "n", depends_on=[parent], ttl_ms=1_000)
    clock.advance(seconds=1)
    queue.housekeep()

    queue.ack(queue.pull("p")[0])

    assert queue.get_job(child).state is JobState.CANCELLED
    assert "expired" in str(queue.get_job(child).last_error)


@pytest.mark.parametrize("what", ["deleted", "foreign", "nonsense", "dead", "cancelled"])
def test_a_parent_that_cannot_complete_is_refused_and_named(queue: PyQueue, what: str) -> None:
    parent = queue.push("p", "n")
    match what:
        case "deleted":
            queue.delete(parent)
        case "foreign":
            parent = "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"
        case "nonsense":
            parent = "nonsense"
        case "dead":
            queue.fail(queue.pull("p")[0], "broken", retry=False)
        case "cancelled":
            queue.cancel(parent)

    with pytest.raises(ValidationError, match=rf"depends_on.*{parent}"):
        queue.push_many("q", [{"name": "free"}, {"name": "n", "depends_on": [parent]}])

    assert queue.stats("q").total == 0


def test_a_unique_key_is_held_while_blocked_and_free_when_the_flow_ends(queue: PyQueue) -> None:
    parent = queue.push("p", "n")
    queue.push("q", "n", depends_on=[parent], unique_key="k")
    assert queue.stats("q").blocked == 1

    queue.cancel(parent)

    queue.push("q", "n", unique_key="k")


def test_jobs_of_one_push_name_each_other_forwards_and_backwards(queue: PyQueue) -> None:
    ids = queue.push_many(
        "q",
        [
            {"name": "third", "depends_on": ["second"]},
            {"name": "second", "ref": "second", "depends_on": ["first"]},
            {"name": "first", "ref": "first"},
        ],
    )

    assert states(queue, ids) == ["blocked", "blocked", "waiting"]
    assert queue.get_job(ids[0]).depends_on == (ids[1],)
    done = []
    while jobs := queue.pull("q"):
        queue.ack(jobs[0])
        done.append(jobs[0].name)
    assert done == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("jobs", "says"),
    [
        ([("a", ["c"]), ("b", ["a"]), ("c", ["b"])], "circle: 'a' → 'c' → 'b' → 'a'"),
        ([("a", ["a"])], "circle: 'a' → 'a'"),
        ([("end", ["a"]), ("a", ["b"]), ("b", ["a"])], "circle: '[ab]' → '[ab]' → '[ab]'"),
        ([("a", []), ("a", [])], "ref 'a' stands twice"),
        ([("a", ["b"])], "'b', which is neither the id of a job nor a ref of this push; expected one of: 'a'"),
        ([("0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e", [])], "looks like the id of a job"),
    ],
)
def test_names_that_lead_nowhere_or_round_are_refused_and_nothing_is_stored(
    queue: PyQueue, jobs: list[tuple[str, list[str]]], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        queue.push_many("q", [{"name": "n", "ref": ref, "depends_on": parents} for ref, parents in jobs])

    assert queue.stats("q").total == 0


def test_a_chain_of_thousands_in_one_push_runs_and_ends(queue: PyQueue) -> None:
    length = 3_000
    jobs = [{"name": "n", "ref": f"{number}", "depends_on": [f"{number + 1}"]} for number in range(length - 1)]
    ids = queue.push_many("q", [*jobs, {"name": "n", "ref": f"{length - 1}"}])
    assert queue.stats("q").blocked == length - 1

    queue.fail(queue.pull("q")[0], "broken", retry=False)

    assert queue.stats("q").dlq == length
    queue.retry(ids[-1])
    assert queue.stats("q").blocked == length - 1


@pytest.mark.parametrize("in_one_push", [False, True])
def test_a_limited_depth_allows_that_many_levels_of_parents(clock: FakeClock, in_one_push: bool) -> None:
    with PyQueue(":memory:", clock=clock, max_flow_depth=10) as limited:
        if in_one_push:
            jobs = [{"name": "n", "ref": f"{number}", "depends_on": [f"{number - 1}"]} for number in range(1, 12)]
            first = {"name": "n", "ref": "0"}
            assert len(limited.push_many("q", [first, *jobs[:-1]])) == 11
            with pytest.raises(ValidationError, match=r"more than 10 jobs above job 'n' \(max_flow_depth\)"):
                limited.push_many("q", [first, *jobs])
        else:
            ids = chain(limited, 11)
            with pytest.raises(ValidationError, match="more than 10 jobs above job 'n'"):
                limited.push("q", "n", depends_on=[ids[-1]])
            limited.push("q", "n", depends_on=[ids[0], ids[-2]])

        assert limited.stats("q").total in (11, 12)


def test_one_parent_of_thousands_of_children_takes_them_all_along(queue: PyQueue) -> None:
    parents = queue.push_many("p", [{"name": "n"}] * 2)
    for parent in parents:
        queue.push_many("q", [{"name": "n", "depends_on": [parent]}] * 2_500)
    one, other = queue.pull("p", count=2)

    queue.ack(one)
    queue.fail(other, "broken", retry=False)

    counts = queue.stats("q")
    assert (counts.waiting, counts.dlq, counts.blocked) == (2_500, 2_500, 0)
