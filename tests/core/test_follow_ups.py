"""Follow-ups: named in a job's metadata, pushed in the transaction of its ack."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from pyqueue import Job, PyQueue
from pyqueue.core.errors import ValidationError


def pushed(queue: PyQueue, *follow_ups: dict[str, Any], result: Any = None, **options: Any) -> list[Job]:
    """Completes a job that names these; gives what is in the queue "next" then."""
    metadata = {"trace": "t", "follow_ups": list(follow_ups)}
    queue.push("first", "n", {"d": 1}, metadata=metadata, flow_id="f", **options)
    queue.ack(queue.pull("first")[0], result)
    jobs = queue.list_jobs(queue="next").jobs
    return [queue.get_job(job) for job in reversed(jobs)]


def test_a_follow_up_takes_what_it_does_not_name_from_its_parent(queue: PyQueue) -> None:
    [job] = pushed(queue, {"queue": "next", "name": "after"}, result={"rows": 3})

    [parent] = queue.list_jobs(queue="first").jobs
    assert (job.name, job.data, job.flow_id, job.metadata) == ("after", {"rows": 3}, "f", {"trace": "t"})
    assert (job.depends_on, job.state.value) == ((parent.id,), "waiting")
    assert queue.parent_results(job).results == [{"rows": 3}]


def test_a_follow_up_keeps_what_it_names(queue: PyQueue) -> None:
    other = queue.push("other", "n")
    entry = {
        "queue": "next",
        "name": "after",
        "data": [1],
        "flow_id": "entry",
        "options": {"priority": 3, "metadata": {"m": 1}, "depends_on": [other], "delay_ms": None},
    }
    [job] = pushed(queue, entry, {**entry, "queue": "elsewhere", "options": {"flow_id": "option"}}, result="r")

    assert (job.data, job.flow_id, job.metadata, job.priority) == ([1], "entry", {"m": 1}, 3)
    assert (len(job.depends_on), job.state.value) == (2, "blocked")
    [elsewhere] = queue.list_jobs(queue="elsewhere").jobs
    assert elsewhere.flow_id == "option"


def test_without_data_and_result_it_gets_an_empty_object_and_no_empty_metadata(queue: PyQueue) -> None:
    queue.push("first", "n", metadata={"follow_ups": [{"queue": "next", "name": "after"}]})
    queue.ack(queue.pull("first")[0])

    [job] = queue.pull("next")
    assert (job.data, job.metadata, job.flow_id) == ({}, None, None)


@pytest.mark.parametrize("how", ["paused", "limited", "removed", "batch"])
def test_no_follow_up_is_lost(queue: PyQueue, how: str) -> None:
    options: dict[str, Any] = {"remove_on_complete": how == "removed"}
    if how == "paused":
        queue.pause("next")
    if how == "limited":
        queue.set_push_limit("next", rate=1, burst=1)
        queue.push("next", "takes-the-token")
    metadata = {"follow_ups": [{"queue": "next", "name": "after"}]}
    queue.push_many("first", [{"name": "n", "metadata": metadata, **options}] * 3)
    items = [(job, {"n": 1}) for job in queue.pull("first", count=3)]

    assert all(result.ok for result in queue.ack_many(items))

    waiting = [job for job in queue.list_jobs(queue="next").jobs if job.name == "after"]
    assert [(job.state.value, job.data) for job in waiting] == [("waiting", {"n": 1})] * 3
    assert queue.parent_results(waiting[0]).results == [{"n": 1}]


def test_follow_ups_of_follow_ups_follow(queue: PyQueue) -> None:
    metadata = {"follow_ups": [{"queue": "next", "name": "third"}]}
    entry: dict[str, Any] = {"queue": "next", "name": "second", "options": {"metadata": metadata}}
    pushed(queue, entry)

    queue.ack(queue.pull("next")[0])

    assert queue.pull("next")[0].name == "third"


def test_a_follow_up_that_cannot_be_pushed_is_told_in_the_log_and_the_ack_stands(queue: PyQueue) -> None:
    queue.push("next", "holder", unique_key="k")
    entries: list[dict[str, Any]] = [
        {"queue": "next", "name": "held", "options": {"unique_key": "k"}},
        {"queue": "next", "name": "free"},
    ]

    jobs = pushed(queue, *entries)

    assert [job.name for job in jobs] == ["holder", "free"]
    [parent] = queue.list_jobs(queue="first").jobs
    [entry] = queue.get_job(parent).logs
    assert "follow-up 1 (held) was not pushed: unique key 'k' is held" in entry.message


@pytest.mark.parametrize(
    ("follow_ups", "says"),
    [
        ("none", "metadata.follow_ups 'none'; expected a list"),
        ([1], "has 1; expected an object with a queue and a name"),
        ([{"queue": "q"}], "expected an object with a queue and a name"),
        ([{"queue": "q", "name": "bad name"}], "alphanumeric"),
        ([{"queue": "q", "name": "n", "typo": 1}], "unknown key of metadata.follow_ups 'typo'"),
        ([{"queue": "q", "name": "n", "options": {"priority": "high"}}], "priority 'high'"),
        ([{"queue": "q", "name": "n", "options": 3}], "options 3 of metadata.follow_ups"),
    ],
)
def test_what_could_not_be_pushed_later_is_refused_now(queue: PyQueue, follow_ups: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        queue.push("first", "n", metadata={"follow_ups": follow_ups})

    assert queue.stats("first").total == 0


@pytest.mark.sqlite("joins a sqlite3 connection")
def test_a_follow_up_is_part_of_the_transaction_of_the_caller(queue: PyQueue) -> None:
    queue.push("first", "n", metadata={"follow_ups": [{"queue": "next", "name": "after"}]})
    [job] = queue.pull("first")
    with closing(sqlite3.connect(queue.path, isolation_level=None)) as connection:
        for end, expected in (("ROLLBACK", 0), ("COMMIT", 1)):
            connection.execute("BEGIN IMMEDIATE")
            queue.on(connection).ack(job)
            connection.execute(end)
            assert queue.stats("next").waiting == expected
