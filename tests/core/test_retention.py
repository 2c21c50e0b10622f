"""Housekeeping removes what has been kept long enough, and nothing that anybody still wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.engine.housekeeping import Remove, outlived
from pyqueue.core.errors import JobNotFound
from pyqueue.core.housekeeper import KEEP_US
from pyqueue.testing import FakeClock
from tests.core.test_listing import MAKE

DAY = 86_400
KEPT_DAYS = {JobState.COMPLETED: 7, JobState.CANCELLED: 30, JobState.DLQ: 90}


@pytest.mark.parametrize("state", JobState)
def test_each_state_is_kept_for_its_time(queue: PyQueue, clock: FakeClock, state: JobState) -> None:
    job_id = MAKE[state](queue)
    days = KEPT_DAYS.get(state)
    clock.advance(seconds=(days or 3_650) * DAY)
    assert queue.get_job(job_id).state is state
    queue.purge("parents")

    queue.housekeep()
    queue.get_job(job_id)
    clock.advance(ms=1)
    queue.housekeep()

    if days is None:
        queue.get_job(job_id)
    else:
        with pytest.raises(JobNotFound):
            queue.get_job(job_id)


def test_the_time_counts_from_the_end_not_from_the_push(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n")
    clock.advance(seconds=30 * DAY)
    queue.ack(queue.pull("q")[0])
    clock.advance(seconds=6 * DAY)

    assert queue.housekeep().removed == 0

    assert queue.get_job(job_id).state is JobState.COMPLETED


def test_a_job_that_is_retried_while_retention_looks_at_it_stays(queue: PyQueue, clock: FakeClock) -> None:
    """It was removed although it waited again: found by a read, deleted by key in the write that followed."""
    retried, again_dead, forgotten = ids = queue.push_many("q", [{"name": "n", "max_attempts": 1}] * 3)
    for job in queue.pull("q", count=3):
        queue.fail(job, "broken")
    clock.advance(seconds=91 * DAY)
    found, _ = queue._runtime.read(lambda tx: outlived(tx, after=0, keep_us=KEEP_US))
    assert len(found) == len(ids)

    queue.retry(again_dead)
    queue.fail(queue.pull("q")[0], "broken again")
    queue.retry(retried)
    removed = queue._runtime.write(Remove(tuple(found), KEEP_US))

    assert removed == 1
    assert queue.get_job(retried).state is JobState.WAITING
    assert queue.get_job(again_dead).state is JobState.DLQ
    with pytest.raises(JobNotFound):
        queue.get_job(forgotten)


def test_a_removed_job_leaves_nothing_behind(queue: PyQueue, clock: FakeClock) -> None:
    parent = queue.push("q", "n", tags=["t"], backoff_delay_ms=0)
    child = queue.push("q", "n", depends_on=[parent])
    queue.fail(queue.pull("q")[0], "broken")
    [job] = queue.pull("q")
    queue.progress(job, 1, "begun")
    queue.ack(job)
    clock.advance(seconds=8 * DAY)

    assert queue.housekeep().removed == 1

    assert queue.list_jobs(tag="t").jobs == []
    assert queue.stats("q").completed == 0
    assert queue.get_job(child).state is JobState.WAITING
    rows = queue._runtime.read(
        lambda tx: [tx.row(f"SELECT count(*) FROM pyqueue_{table}")[0] for table in ("attempt", "log", "tag")]
    )
    assert rows == [0, 0, 0]


def test_old_jobs_behind_many_living_ones_are_found(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("living", [{"name": "n"}] * 6_000)
    queue.push_many("done", [{"name": "n"}] * 600)
    queue.ack_many(queue.pull("done", count=600))
    clock.advance(seconds=8 * DAY)

    assert queue.housekeep().removed == 600

    assert queue.stats("living").waiting == 6_000


def test_a_clock_set_back_removes_nothing(path: Path) -> None:
    clock = FakeClock()
    with PyQueue(path, clock=clock) as queue:
        queue.push("q", "n")
        queue.ack(queue.pull("q")[0])
        clock.advance(seconds=-20 * 365 * DAY)

        assert queue.housekeep().removed == 0
        assert queue.stats("q").completed == 1
