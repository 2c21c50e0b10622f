"""What becomes of a job when a parent ends without completing: it is the child's choice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import ValidationError
from pyqueue.testing import FakeClock


def expire(queue: PyQueue, clock: FakeClock) -> None:
    clock.advance(seconds=2)
    queue.housekeep()


END: dict[str, Callable[[PyQueue, str, FakeClock], object]] = {
    "dlq": lambda queue, _, __: queue.fail(queue.pull("parents")[0], "broken", retry=False),
    "discarded": lambda queue, _, __: queue.fail(queue.pull("parents")[0], "pointless", discard=True),
    "cancelled": lambda queue, parent, _: queue.cancel(parent),
    "deleted": lambda queue, parent, _: queue.delete(parent),
    "purged": lambda queue, _, __: queue.purge("parents", state="waiting"),
    "expired": lambda queue, _, clock: expire(queue, clock),
    "cancelled with its flow": lambda queue, _, __: queue.cancel_flow("f"),
    "deleted with its flow": lambda queue, _, __: queue.delete_flow("f"),
}


@pytest.mark.parametrize("end", END)
@pytest.mark.parametrize("policy", ["fail", "cancel", "run", "only"])
def test_a_child_ends_or_goes_on_as_it_chose(queue: PyQueue, clock: FakeClock, policy: str, end: str) -> None:
    parent = queue.push("parents", "n", ttl_ms=1_000, flow_id="f")
    child = queue.push("q", "n", depends_on=[parent], on_parent_failure=policy)
    grandchild = queue.push("q", "n", depends_on=[child])

    END[end](queue, parent, clock)

    found = (queue.get_job(child).state.value, queue.get_job(grandchild).state.value)
    ended = "dlq" if end == "dlq" and policy == "fail" else "cancelled"
    assert found == (("waiting", "blocked") if policy in ("run", "only") else (ended, ended))


@pytest.mark.parametrize(("policy", "expected"), [("run", "waiting"), ("only", "cancelled"), ("fail", "waiting")])
def test_when_all_complete_only_those_that_wait_for_a_failure_are_skipped(
    queue: PyQueue, policy: str, expected: str
) -> None:
    parents = queue.push_many("parents", [{"name": "n"}] * 3)
    child = queue.push("q", "n", depends_on=parents, on_parent_failure=policy)
    below = queue.push("q", "n", depends_on=[child])

    queue.ack_many(queue.pull("parents", count=3))

    assert queue.get_job(child).state.value == expected
    assert queue.get_job(below).state.value == ("cancelled" if expected == "cancelled" else "blocked")
    assert (queue.get_job(child).last_error == "skipped: no parent failed") == (expected == "cancelled")


def test_a_child_that_goes_on_waits_for_every_parent(queue: PyQueue) -> None:
    parents = queue.push_many("parents", [{"name": "n"}] * 3)
    child = queue.push("q", "n", depends_on=parents, on_parent_failure="only")
    one, two, three = queue.pull("parents", count=3)

    queue.fail(one, "broken", retry=False)
    queue.ack(two)
    assert queue.get_job(child).state is JobState.BLOCKED
    queue.ack(three)

    assert queue.pull("q")[0].id == child


def test_a_dead_parent_may_be_named_by_a_child_that_goes_on(queue: PyQueue) -> None:
    dead, alive = queue.push_many("parents", [{"name": "n"}] * 2)
    queue.cancel(dead)
    with pytest.raises(ValidationError, match="on_parent_failure='run'"):
        queue.push("q", "n", depends_on=[dead])

    at_once = queue.push("q", "n", depends_on=[dead], on_parent_failure="only")
    later = queue.push("q", "n", depends_on=[dead, alive], on_parent_failure="only")

    assert [queue.get_job(each).state.value for each in (at_once, later)] == ["waiting", "blocked"]
    queue.ack(queue.pull("parents")[0])
    assert queue.get_job(later).state is JobState.WAITING


def test_a_job_for_a_failure_that_cannot_come_any_more_is_skipped_at_once(queue: PyQueue) -> None:
    parent = queue.push("parents", "n")
    queue.ack(queue.pull("parents")[0])

    skipped, below = queue.push_many(
        "q",
        [
            {"name": "n", "ref": "skipped", "depends_on": [parent], "on_parent_failure": "only"},
            {"name": "n", "depends_on": ["skipped"]},
        ],
    )

    assert [queue.get_job(each).state.value for each in (skipped, below)] == ["cancelled", "cancelled"]
    assert queue.stats("q").cancelled == 2


def test_a_parent_that_is_retried_is_waited_for_again(queue: PyQueue) -> None:
    bad, good = queue.push_many("parents", [{"name": "n"}] * 2)
    child = queue.push("q", "n", depends_on=[bad, good], on_parent_failure="only")
    queue.fail(queue.pull("parents")[0], "broken", retry=False)

    queue.retry(bad)
    queue.ack_many(queue.pull("parents", count=2))

    assert queue.get_job(child).state is JobState.CANCELLED, "nothing failed in the end"


def test_a_retry_leaves_what_has_a_reason_of_its_own_to_have_ended(queue: PyQueue) -> None:
    root, other = queue.push_many("parents", [{"name": "n", "unique_key": key} for key in "ab"])
    mine = queue.push("q", "mine", depends_on=[root])
    both = queue.push("q", "both", depends_on=[root, other])
    named = queue.push("q", "named", depends_on=[root], unique_key="k")
    below = queue.push("q", "below", depends_on=[named])
    withdrawn = queue.push("q", "withdrawn", depends_on=[root])
    queue.cancel(withdrawn)
    for parent in (root, other):
        queue.cancel(parent)
    queue.push("q", "newer", unique_key="k")

    queue.retry(root)

    found = {name: queue.get_job(job_id).state.value for name, job_id in locals().items() if isinstance(job_id, str)}
    assert found == {
        "root": "waiting", "other": "cancelled", "mine": "blocked", "both": "cancelled", "named": "cancelled",
        "below": "cancelled", "withdrawn": "cancelled", "parent": "cancelled",
    }  # fmt: skip
    queue.retry(other)
    assert queue.get_job(both).state is JobState.BLOCKED


def test_a_revived_flow_of_unequal_branches_comes_back_whole(queue: PyQueue) -> None:
    ids = queue.push_many(
        "q",
        [
            {"name": "n", "ref": "end", "depends_on": ["root", "long-2"]},
            {"name": "n", "ref": "long-2", "depends_on": ["long-1"]},
            {"name": "n", "ref": "long-1", "depends_on": ["root"]},
            {"name": "n", "ref": "root"},
        ],
    )
    queue.fail(queue.pull("q")[0], "broken", retry=False)
    assert queue.stats("q").dlq == 4

    queue.retry(ids[-1])

    done = []
    while jobs := queue.pull("q"):
        queue.ack(jobs[0])
        done.append(jobs[0].id)
    assert done == ids[::-1]
