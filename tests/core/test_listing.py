"""Looking at many jobs: lists, filters, pages, counts, queues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import JobNotFound
from pyqueue.testing import FakeClock


def make_active(queue: PyQueue, job_id: str) -> None:
    [job] = queue.pull(queue.get_job(job_id).queue)
    assert job.id == job_id


def make_completed(queue: PyQueue, job_id: str) -> None:
    make_active(queue, job_id)
    queue.ack(job_id)


def make_dead(queue: PyQueue, job_id: str) -> None:
    make_active(queue, job_id)
    queue.fail(job_id, "broken", retry=False)


def waiting(queue: PyQueue) -> str:
    return queue.push("waiting", "n")


def delayed(queue: PyQueue) -> str:
    return queue.push("delayed", "n", delay_ms=1_000)


def blocked(queue: PyQueue) -> str:
    return queue.push("blocked", "n", depends_on=[queue.push("parents", "n")])


def active(queue: PyQueue) -> str:
    job_id = queue.push("active", "n")
    make_active(queue, job_id)
    return job_id


def completed(queue: PyQueue) -> str:
    job_id = queue.push("completed", "n")
    make_completed(queue, job_id)
    return job_id


def dead(queue: PyQueue) -> str:
    job_id = queue.push("dlq", "n")
    make_dead(queue, job_id)
    return job_id


def cancelled(queue: PyQueue) -> str:
    job_id = queue.push("cancelled", "n")
    queue.cancel(job_id)
    return job_id


# How a job comes to be in a state, in a queue called after that state.
MAKE: dict[JobState, Callable[[PyQueue], str]] = {
    JobState.WAITING: waiting,
    JobState.DELAYED: delayed,
    JobState.BLOCKED: blocked,
    JobState.ACTIVE: active,
    JobState.COMPLETED: completed,
    JobState.DLQ: dead,
    JobState.CANCELLED: cancelled,
}


@pytest.mark.parametrize("state", JobState)
def test_a_job_is_listed_and_counted_under_its_state(queue: PyQueue, state: JobState) -> None:
    made = {each: MAKE[each](queue) for each in JobState}

    by_name = queue.list_jobs(state=state.value, queue=state.value).jobs
    by_state = queue.list_jobs(state=state).jobs

    assert [job.id for job in by_name] == [made[state]]
    assert made[state] in {job.id for job in by_state}
    assert all(job.state is state for job in by_state)
    assert getattr(queue.stats(state.value), state.value) == queue.stats(state.value).total == 1


def test_queues_come_sorted_with_all_their_counts(queue: PyQueue) -> None:
    for state in JobState:
        MAKE[state](queue)
    queue.pause("paused-and-empty")

    infos = queue.queues()

    names = [info.name for info in infos]
    assert names == sorted([*(state.value for state in JobState), "parents", "paused-and-empty"])
    assert {info.name: info.counts for info in infos} == {name: queue.stats(name) for name in names}
    assert [info.name for info in infos if info.is_paused] == ["paused-and-empty"]


def test_a_queue_is_gone_with_its_last_job(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")

    queue.delete(job_id)

    assert queue.queues() == []


FILTERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "queue": ({"queue": "a"}, {"queue": "b"}),
    "name": ({"name": "a"}, {"name": "b"}),
    "tag": ({"tags": ["x", "a"]}, {"tags": ["x", "b"]}),
    "flow_id": ({"flow_id": "a"}, {"flow_id": "b"}),
    "custom_id": ({"custom_id": "a"}, {"custom_id": "b"}),
}


@pytest.mark.parametrize("filter_by", FILTERS)
def test_each_filter_shows_the_matching_jobs_only(queue: PyQueue, filter_by: str) -> None:
    ours, theirs = ({"queue": "q", "name": "n", **each} for each in FILTERS[filter_by])
    ids = [queue.push(**ours) for _ in range(3)]
    queue.push(**theirs)
    queue.push("q", "n")

    wanted: Any = {filter_by: "a"}
    first = queue.list_jobs(**wanted, limit=2)
    second = queue.list_jobs(**wanted, limit=2, cursor=first.next_cursor)

    assert [job.id for job in first.jobs + second.jobs] == ids[::-1]
    assert second.next_cursor is None


def test_filters_narrow_each_other(queue: PyQueue) -> None:
    both = queue.push("q", "n", tags=["t"], flow_id="f")
    queue.push("q", "n", tags=["t"])
    queue.push("q", "n", flow_id="f")
    queue.push("other", "n", tags=["t"], flow_id="f")

    assert [job.id for job in queue.list_jobs(queue="q", tag="t", flow_id="f", state="waiting").jobs] == [both]
    assert queue.list_jobs(queue="q", tag="t", flow_id="f", state="dlq").jobs == []


def test_created_after_includes_its_moment_and_created_before_does_not(queue: PyQueue, clock: FakeClock) -> None:
    ids = []
    for _ in range(3):
        ids.append(queue.push("q", "n"))
        clock.advance(ms=10)
    moment = queue.get_job(ids[1]).created_at

    after = queue.list_jobs(created_after=moment).jobs
    before = queue.list_jobs(created_before=moment).jobs
    between = queue.list_jobs(created_after=moment, created_before=moment + timedelta(milliseconds=1)).jobs

    assert [job.id for job in after] == [ids[2], ids[1]]
    assert [job.id for job in before] == [ids[0]]
    assert [job.id for job in between] == [ids[1]]


def test_pages_neither_repeat_nor_miss_when_jobs_come_and_go(queue: PyQueue) -> None:
    ids = queue.push_many("q", [{"name": "n"}] * 10)
    seen: list[str] = []
    cursor = None
    for turn in range(5):
        page = queue.list_jobs(queue="q", limit=2, cursor=cursor)
        seen += [job.id for job in page.jobs]
        cursor = page.next_cursor
        queue.push("q", "new")
        queue.delete(ids[-1 - 2 * turn])  # one that was just shown

    assert seen == ids[::-1]
    assert cursor is None


def test_a_cursor_may_outlive_its_job(queue: PyQueue) -> None:
    ids = queue.push_many("q", [{"name": "n"}] * 3)
    cursor = queue.list_jobs(limit=1).next_cursor
    assert cursor == ids[2]
    queue.delete(cursor)

    assert [job.id for job in queue.list_jobs(cursor=cursor).jobs] == [ids[1], ids[0]]


def test_a_cursor_of_another_database_is_refused(queue: PyQueue) -> None:
    with pytest.raises(JobNotFound, match="made by this database"):
        queue.list_jobs(cursor="0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e")


def test_a_list_shows_jobs_without_logs_and_get_job_with_them(queue: PyQueue) -> None:
    job_id = active(queue)
    queue.progress(job_id, 10, "begun")

    [listed] = queue.list_jobs().jobs

    assert (listed.logs, listed.progress) == ((), 10)
    assert [entry.message for entry in queue.get_job(job_id).logs] == ["begun"]


def test_the_filters_find_nothing_when_a_job_was_deleted(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", tags=["t"], flow_id="f", custom_id="c")

    queue.delete(job_id)

    assert queue.list_jobs(tag="t").jobs == []
    assert queue.list_jobs(flow_id="f").jobs == []
    assert queue.list_jobs(custom_id="c").jobs == []


def test_text_beyond_ascii_is_kept_and_found(queue: PyQueue) -> None:
    labels: Any = {"flow_id": "ход", "custom_id": "naïve ☃", "group_id": "组"}
    job_id = queue.push("q", "n", {"né": "\0☃"}, tags=["日本"], unique_key="ключ", metadata="\U0001f600", **labels)

    [job] = queue.list_jobs(tag="日本", flow_id="ход", custom_id="naïve ☃").jobs

    assert job.id == job_id
    assert (job.data, job.metadata, job.unique_key) == ({"né": "\0☃"}, "\U0001f600", "ключ")
