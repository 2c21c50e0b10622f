"""What each call does to a job, and what it is refused for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import (
    DuplicateKey,
    InvalidState,
    JobNotFound,
    LeaseLost,
    QueueClosed,
    QueuePaused,
    StateError,
    ValidationError,
)
from pyqueue.testing import FakeClock

FOREIGN = "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"


def dead_letter(queue: PyQueue, name: str = "dead", **options: object) -> str:
    job_id = queue.push("q", name, **{"max_attempts": 1, **options})  # type: ignore[arg-type]
    while queue.get_job(job_id).state is not JobState.DLQ:
        [job] = queue.pull("q")
        queue.fail(job, "broken")
    return job_id


def test_ack_completes_and_keeps_the_result(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", {"a": [1]})
    [job] = queue.pull("q", worker_id="w1")
    clock.advance(ms=5)

    queue.ack(job, {"sent": True})

    done = queue.get_job(job_id)
    assert (done.state, done.result, done.worker_id, done.lease) == (JobState.COMPLETED, {"sent": True}, "w1", None)
    assert done.completed_at == clock.now
    assert done.started_at == clock.now - timedelta(milliseconds=5)
    assert queue.attempts(job_id) == []


def test_ack_by_id_is_taken_for_whichever_run_is_active(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")
    queue.pull("q")

    queue.ack(job_id)

    assert queue.get_job(job_id).state is JobState.COMPLETED


@pytest.mark.parametrize("job_id", [FOREIGN, "0" * 32])
def test_an_unknown_id_is_not_found_and_the_message_holds_it(queue: PyQueue, job_id: str) -> None:
    for call in (queue.get_job, queue.ack, queue.cancel, queue.retry, queue.delete, queue.attempts, queue.heartbeat):
        with pytest.raises(JobNotFound, match=job_id):
            call(job_id)


def test_what_is_no_id_is_refused(queue: PyQueue) -> None:
    with pytest.raises(ValidationError, match="not a UUID"):
        queue.get_job("nonsense")


def test_ids_are_parsed_leniently(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")

    for form in (job_id.upper(), job_id.replace("-", ""), f"{{{job_id}}}", f"urn:uuid:{job_id}"):
        assert queue.get_job(form).id == job_id


def test_a_second_ack_is_refused(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")
    queue.ack(job)

    with pytest.raises(InvalidState, match=r"Completed.*expected Active"):
        queue.ack(job)


def test_ack_many_keeps_the_result_of_each_job_whatever_its_lease(queue: PyQueue) -> None:
    results = [{"said": 'he said: "no"'}, ["\\", "{}", "\u2603 NULL"], None, "NULL", 7, {"a": {"b": [1.0, None]}}]
    ids = queue.push_many("q", [{"name": "n"}] * len(results))
    for job in queue.pull("q", count=2):
        queue.release(job)
    jobs = sorted(queue.pull("q", count=len(results)), key=lambda job: job.id)

    outcomes = queue.ack_many(list(zip(jobs, results, strict=True)))

    assert {job.lease for job in jobs} == {1, 2}
    assert all(outcome.ok for outcome in outcomes)
    assert [queue.get_job(job_id).result for job_id in ids] == results


def test_ack_many_treats_each_item_by_itself(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "n"}] * 3)
    waiting = queue.push("later", "n")
    one, two, three = queue.pull("q", count=3)

    results = queue.ack_many([one, (two.id, 7), waiting, FOREIGN, one, (three, None), "nonsense"])

    codes = [None if result.error is None else result.error.code for result in results]
    assert codes == [None, None, "INVALID_STATE", "JOB_NOT_FOUND", "INVALID_STATE", None, "VALIDATION_ERROR"]
    assert [result.ok for result in results] == [code is None for code in codes]
    assert [result.id for result in results[:2]] == [one.id, two.id]
    assert queue.get_job(two).result == 7
    assert queue.stats("q").completed == 3


def test_fail_keeps_every_attempt_with_its_worker_and_times(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", backoff_delay_ms=0)
    for worker in ("w1", "w2"):
        [job] = queue.pull("q", worker_id=worker)
        clock.advance(ms=10)
        queue.fail(job, f"error of {worker}")

    first, second = queue.attempts(job_id)

    assert (first.worker_id, first.error, second.worker_id) == ("w1", "error of w1", "w2")
    assert first.started_at is not None
    assert first.failed_at - first.started_at == timedelta(milliseconds=10)
    assert queue.get_job(job_id).attempt == 2


def test_fail_with_retry_false_gives_up_at_once(queue: PyQueue) -> None:
    queue.push("q", "n", max_attempts=9)
    [job] = queue.pull("q")

    result = queue.fail(job, "hopeless", retry=False)

    assert (result.state, result.will_retry) == (JobState.DLQ, False)


def test_fail_with_delay_ms_replaces_the_backoff_once(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")

    result = queue.fail(job, "busy", delay_ms=77)

    assert result.next_attempt_at == clock.now + timedelta(milliseconds=77)


def test_release_counts_no_attempt(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", max_attempts=1)
    [job] = queue.pull("q")

    queue.release(job, delay_ms=100)

    assert (queue.get_job(job_id).state, queue.get_job(job_id).attempt) == (JobState.DELAYED, 0)
    clock.advance(ms=100)
    [again] = queue.pull("q")
    assert again.lease == 2


@pytest.mark.parametrize(
    "options", [{}, {"delay_ms": 9}, {"depends_on": "parent"}], ids=["waiting", "delayed", "blocked"]
)
def test_cancel_withdraws_a_job_that_has_not_started(queue: PyQueue, options: dict[str, object]) -> None:
    if options.get("depends_on"):
        options = {"depends_on": [queue.push("p", "parent")]}
    job_id = queue.push("q", "n", **options)  # type: ignore[arg-type]

    assert queue.cancel(job_id) is JobState.CANCELLED

    assert queue.get_job(job_id).state is JobState.CANCELLED
    with pytest.raises(InvalidState, match=r"Cancelled; expected Waiting, Delayed, or Blocked"):
        queue.cancel(job_id)


def test_cancel_of_an_active_job_is_told_at_the_next_heartbeat_and_no_retry_follows(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")
    [job] = queue.pull("q")
    assert not queue.heartbeat(job).cancel_requested

    assert queue.cancel(job_id) is JobState.ACTIVE

    assert queue.heartbeat(job).cancel_requested
    assert queue.get_job(job_id).cancel_requested
    assert queue.fail(job, "stopped").state is JobState.CANCELLED


def test_an_active_job_that_completes_although_cancelled_is_completed(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")
    [job] = queue.pull("q")
    queue.cancel(job_id)

    queue.ack(job)

    assert queue.get_job(job_id).state is JobState.COMPLETED


def test_cancel_takes_the_children_along(queue: PyQueue) -> None:
    parent = queue.push("q", "parent")
    child = queue.push("q", "child", depends_on=[parent])

    queue.cancel(parent)

    assert queue.get_job(child).state is JobState.CANCELLED


def test_retry_starts_again_with_its_history_kept(queue: PyQueue) -> None:
    job_id = dead_letter(queue)

    queue.retry(job_id)

    job = queue.get_job(job_id)
    assert (job.state, job.attempt, job.last_error) == (JobState.WAITING, 0, "broken")
    assert len(queue.attempts(job_id)) == 1
    with pytest.raises(InvalidState, match="Waiting"):
        queue.retry(job_id)


def test_retry_is_refused_while_another_holds_the_unique_key(queue: PyQueue) -> None:
    job_id = dead_letter(queue, unique_key="k")
    holder = queue.push("q", "n", unique_key="k")

    with pytest.raises(DuplicateKey, match=holder):
        queue.retry(job_id)

    assert queue.retry_dlq("q") == 0


def test_a_child_cannot_be_retried_before_its_dead_parent(queue: PyQueue) -> None:
    parent = queue.push("q", "parent", max_attempts=1)
    child = queue.push("q", "child", depends_on=[parent])
    queue.fail(queue.pull("q")[0], "broken")

    with pytest.raises(InvalidState, match=parent):
        queue.retry(child)
    queue.retry(parent)

    assert queue.get_job(child).state is JobState.BLOCKED
    queue.ack(queue.pull("q")[0])
    assert queue.get_job(child).state is JobState.WAITING


def test_retry_dlq_sends_all_dead_letters_of_a_queue_round(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "n", "max_attempts": 1}] * 1_200)
    for job in queue.pull("q", count=1_200):
        queue.fail(job, "broken")

    assert queue.retry_dlq("q") == 1_200

    assert queue.stats("q").waiting == 1_200
    assert queue.retry_many([queue.push("q", "fresh"), FOREIGN]) == 0


def test_delete_removes_a_job_with_its_attempts_and_logs(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", max_attempts=1, tags=["t"])
    [job] = queue.pull("q")
    with pytest.raises(InvalidState, match="Active"):
        queue.delete(job_id)
    queue.progress(job, 1, "begun")
    queue.fail(job, "broken")

    queue.delete(job_id)

    with pytest.raises(JobNotFound):
        queue.get_job(job_id)
    assert queue.queues() == []


def test_purge_removes_all_but_active_jobs_or_one_state(queue: PyQueue) -> None:
    for _ in range(3):
        queue.push("q", "n")
    queue.ack(queue.pull("q")[0])
    queue.pull("q")
    queue.push("q", "later", delay_ms=9)

    assert queue.purge("q", state="completed") == 1
    assert queue.purge("q") == 2

    assert queue.stats("q").active == queue.stats("q").total == 1
    with pytest.raises(ValidationError, match="active"):
        queue.purge("q", state="active")


def test_the_key_of_a_deleted_job_is_not_given_out_again(queue: PyQueue) -> None:
    first = queue.push("q", "n", remove_on_complete=True)
    queue.ack(queue.pull("q")[0])

    second = queue.push("q", "n")

    assert second > first


def test_ids_grow_even_when_the_clock_goes_back(queue: PyQueue, clock: FakeClock) -> None:
    ids = []
    for _ in range(5):
        ids.append(queue.push("q", "n"))
        clock.advance(seconds=-2)

    assert ids == sorted(ids)
    assert [job.id for job in queue.pull("q", count=5)] == ids


def test_pause_refuses_pushes_through_a_restart_until_resume(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "before")
        queue.pause("q")

    with PyQueue(path) as queue:
        with pytest.raises(QueuePaused, match="resume"):
            queue.push("q", "n")
        assert [job.name for job in queue.pull("q")] == ["before"]
        [info] = queue.queues()
        assert (info.pushes_paused, info.pulls_paused, info.is_paused) == (True, False, True)
        queue.resume("q")
        queue.push("q", "n")


def test_pause_of_pulls_holds_jobs_back(queue: PyQueue) -> None:
    queue.push("q", "n")
    queue.pause("q", pushes=False, pulls=True)

    assert queue.pull("q", wait_ms=30) == []
    queue.push("q", "n")
    queue.resume("q")

    assert len(queue.pull("q", count=9)) == 2


def test_stats_of_an_unknown_queue_are_zero(queue: PyQueue) -> None:
    assert queue.stats("nobody").total == 0


def test_list_jobs_pages_do_not_shift_when_jobs_are_added(queue: PyQueue) -> None:
    ids = queue.push_many("q", [{"name": f"n{number}"} for number in range(10)])

    first = queue.list_jobs(queue="q", limit=4)
    queue.push("q", "new")
    second = queue.list_jobs(queue="q", limit=4, cursor=first.next_cursor)
    third = queue.list_jobs(queue="q", limit=4, cursor=second.next_cursor)

    assert [job.id for page in (first, second, third) for job in page.jobs] == ids[::-1]
    assert third.next_cursor is None


def test_list_jobs_meets_all_conditions(queue: PyQueue, clock: FakeClock) -> None:
    old = queue.push("q", "a")
    clock.advance(seconds=10)
    middle = clock.now
    clock.advance(seconds=10)
    new = queue.push("q", "b")
    queue.push("other", "a")

    assert [job.id for job in queue.list_jobs(queue="q", created_before=middle).jobs] == [old]
    assert [job.id for job in queue.list_jobs(queue="q", created_after=middle).jobs] == [new]
    assert [job.id for job in queue.list_jobs(queue="q", name="a", state="waiting").jobs] == [old]
    assert queue.list_jobs(state=JobState.DLQ).jobs == []
    with pytest.raises(ValidationError, match="state 'failed'"):
        queue.list_jobs(state="failed")


def test_several_queues_are_served_in_order_of_preference(queue: PyQueue) -> None:
    queue.push("low", "l", priority=9)
    queue.push("high", "h1")
    queue.push("high", "h2")

    assert [job.name for job in queue.pull(["high", "low"], count=3)] == ["h1", "h2", "l"]


def test_a_closed_handle_says_so(path: Path) -> None:
    queue = PyQueue(path)
    queue.push("q", "n")
    queue.close()
    queue.close()

    for call in (lambda: queue.push("q", "n"), lambda: queue.get_job(FOREIGN), lambda: queue.queues()):
        with pytest.raises(QueueClosed, match="closed"):
            call()


def test_every_refusal_is_a_pyqueue_error_with_a_code(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")
    queue.release(job)
    queue.pull("q")

    with pytest.raises(LeaseLost) as caught:
        queue.ack(job)

    assert isinstance(caught.value, StateError)
    assert caught.value.code == "LEASE_LOST"
