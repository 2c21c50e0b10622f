"""Each option of a job has an effect, and each wrong value is refused with nothing stored."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pyqueue import Backoff, Job, JobOptions, JobState, PyQueue
from pyqueue.core import limits, options
from pyqueue.core.errors import DuplicateKey, JobNotFound, ValidationError
from pyqueue.testing import FakeClock
from tests.naming import shown


def pull_names(queue: PyQueue, count: int = 100) -> list[str]:
    return [job.name for job in queue.pull("q", count=count)]


def pull_one(queue: PyQueue) -> Job:
    [job] = queue.pull("q")
    return job


def test_every_option_has_a_rule() -> None:
    assert set(options.RULES) == set(JobOptions.__annotations__)


def test_priority_higher_is_pulled_first_and_age_decides_among_equals(queue: PyQueue) -> None:
    for name, priority in [("low", -5), ("a", 0), ("b", 0), ("high", 7)]:
        queue.push("q", name, priority=priority)

    assert pull_names(queue) == ["high", "a", "b", "low"]


def test_delay_ms_keeps_a_job_back_until_it_is_over(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "later", delay_ms=1_000)

    assert queue.get_job(job_id).state is JobState.DELAYED
    clock.advance(ms=999)
    assert pull_names(queue) == []
    clock.advance(ms=1)
    assert pull_names(queue) == ["later"]


def test_delay_ms_zero_is_delayed_until_now(queue: PyQueue) -> None:
    job_id = queue.push("q", "now", delay_ms=0)

    assert queue.get_job(job_id).state is JobState.DELAYED
    assert pull_names(queue) == ["now"]


@pytest.mark.parametrize("later", [timedelta(hours=1), datetime(2030, 1, 1, 2, tzinfo=UTC) - timedelta(hours=1)])
def test_run_at_is_a_moment_or_a_timedelta(queue: PyQueue, clock: FakeClock, later: datetime | timedelta) -> None:
    job_id = queue.push("q", "later", run_at=later)

    assert queue.get_job(job_id).delay_until == clock.now + timedelta(hours=1)
    clock.advance(seconds=3_599)
    assert pull_names(queue) == []
    clock.advance(seconds=1)
    assert pull_names(queue) == ["later"]


@pytest.mark.parametrize(("max_attempts", "tries"), [(0, 1), (1, 1), (3, 3)])
def test_max_attempts_counts_all_tries(queue: PyQueue, max_attempts: int, tries: int) -> None:
    job_id = queue.push("q", "doomed", max_attempts=max_attempts, backoff_delay_ms=0)

    made = 0
    while queue.get_job(job_id).state is JobState.WAITING:
        queue.fail(pull_one(queue), "broken")
        made += 1

    assert made == tries
    assert queue.get_job(job_id).state is JobState.DLQ
    assert [attempt.number for attempt in queue.attempts(job_id)] == list(range(1, tries + 1))


@pytest.mark.parametrize(
    ("backoff", "waits_ms"),
    [("fixed", [100, 100, 100]), ("linear", [100, 200, 300]), ("exponential", [100, 200, 400])],
)
def test_backoff_shapes_the_waits(queue: PyQueue, clock: FakeClock, backoff: str, waits_ms: list[int]) -> None:
    queue.push("q", "flaky", backoff=backoff, backoff_delay_ms=100, max_attempts=9)

    for wait_ms in waits_ms:
        result = queue.fail(pull_one(queue), "broken")
        assert result.next_attempt_at == clock.now + timedelta(milliseconds=wait_ms)
        clock.advance(ms=wait_ms)


def test_backoff_has_a_ceiling(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "flaky", backoff_delay_ms=20 * 3_600_000, max_attempts=9)
    queue.fail(pull_one(queue), "broken")
    clock.advance(seconds=20 * 3_600)

    result = queue.fail(pull_one(queue), "broken")

    assert result.next_attempt_at == clock.now + timedelta(milliseconds=limits.BACKOFF_MS_MAX)


def test_backoff_delay_ms_zero_retries_at_once(queue: PyQueue) -> None:
    queue.push("q", "flaky", backoff_delay_ms=0)

    result = queue.fail(pull_one(queue), "broken")

    assert (result.state, result.next_attempt_at) == (JobState.WAITING, None)
    assert pull_names(queue) == ["flaky"]


def test_backoff_jitter_draws_from_the_upper_half(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("q", [{"name": "flaky", "backoff_delay_ms": 1_000, "backoff_jitter": True}] * 60)

    waits = [queue.fail(job, "broken").next_attempt_at for job in queue.pull("q", count=60)]

    waits_ms = [(moment - clock.now) / timedelta(milliseconds=1) for moment in waits if moment]
    assert len(waits_ms) == 60
    assert all(500 <= wait <= 1_000 for wait in waits_ms)
    assert len(set(waits_ms)) > 10


def test_ttl_ms_cancels_a_job_that_has_not_started(queue: PyQueue, clock: FakeClock) -> None:
    late = queue.push("q", "late", ttl_ms=1_000)
    queue.push("q", "kept", ttl_ms=1_001)
    clock.advance(ms=1_000)

    assert pull_names(queue) == ["kept"]
    job = queue.get_job(late)
    assert job.state is JobState.CANCELLED
    assert "expired" in str(job.last_error)


def test_ttl_ms_leaves_a_running_job_alone(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "started", ttl_ms=1_000)
    job = pull_one(queue)
    clock.advance(ms=2_000)
    queue.housekeep()

    queue.ack(job)

    assert queue.get_job(job).state is JobState.COMPLETED


def test_timeout_ms_fails_a_run_that_takes_longer_whatever_its_heartbeats(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "slow", timeout_ms=1_000, max_attempts=1)
    job = pull_one(queue)
    clock.advance(ms=900)
    assert queue.heartbeat(job).lease_until == clock.now + timedelta(milliseconds=100)
    clock.advance(ms=100)

    assert queue.housekeep().timed_out == 1

    assert queue.get_job(job).state is JobState.DLQ
    assert "timed out" in str(queue.get_job(job).last_error)


def test_unique_key_is_held_while_its_job_is_live(queue: PyQueue) -> None:
    queue.push("q", "first", unique_key="k", backoff_delay_ms=0)
    queue.push("other", "elsewhere", unique_key="k")

    for _ in range(2):
        with pytest.raises(DuplicateKey, match="held by job"):
            queue.push("q", "second", unique_key="k")
        job = pull_one(queue)
        with pytest.raises(DuplicateKey):
            queue.push("q", "second", unique_key="k")
        queue.fail(job, "broken")

    queue.ack(pull_one(queue))
    queue.push("q", "second", unique_key="k")


def test_unique_key_twice_in_one_batch_refuses_the_batch(queue: PyQueue) -> None:
    with pytest.raises(DuplicateKey, match="twice in one batch"):
        queue.push_many("q", [{"name": "a", "unique_key": "k"}, {"name": "b"}, {"name": "c", "unique_key": "k"}])

    assert queue.stats("q").total == 0


def test_tags_find_a_job(queue: PyQueue) -> None:
    tagged = queue.push("q", "tagged", tags=["red", "big", "red"])
    queue.push("q", "plain")

    assert queue.get_job(tagged).tags == ("red", "big")
    assert [job.id for job in queue.list_jobs(tag="big").jobs] == [tagged]
    assert queue.list_jobs(tag="blue").jobs == []


def test_group_id_a_long_backlog_does_not_delay_another_group(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": f"a{number}", "group_id": "a"} for number in range(100)])
    queue.push_many("q", [{"name": f"b{number}", "group_id": "b"} for number in range(3)])
    queue.push("q", "c0", group_id="c")

    assert pull_names(queue, 8) == ["a0", "b0", "c0", "a1", "b1", "a2", "b2", "a3"]


def test_group_id_a_group_that_comes_back_again_and_again_gets_one_turn_in_a_round(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "a", "group_id": "a"}] * 10)
    taken = []
    for _ in range(8):
        queue.push("q", "b", group_id="b")
        taken += [pull_one(queue).name, pull_one(queue).name]

    assert taken.count("a") == 8


def test_group_id_turns_survive_a_restart(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push_many("q", [{"name": "a", "group_id": "a"}] * 50)
        queue.pull("q", count=20)

    with PyQueue(path) as queue:
        queue.push("q", "b", group_id="b")
        assert "b" in pull_names(queue, 2)


def test_lifo_is_pulled_newest_first_and_before_the_others_of_its_priority(queue: PyQueue) -> None:
    queue.push("q", "fifo")
    queue.push_many("q", [{"name": "l1", "lifo": True}, {"name": "l2", "lifo": True}])
    queue.push("q", "urgent", priority=1)

    assert pull_names(queue) == ["urgent", "l2", "l1", "fifo"]


def test_remove_on_complete_leaves_no_row(queue: PyQueue) -> None:
    job_id = queue.push("q", "gone", remove_on_complete=True, tags=["t"])

    queue.ack(pull_one(queue))

    with pytest.raises(JobNotFound):
        queue.get_job(job_id)
    assert queue.stats("q").total == 0
    assert queue.list_jobs(tag="t").jobs == []


def test_remove_on_fail_leaves_no_dead_letter(queue: PyQueue) -> None:
    job_id = queue.push("q", "gone", remove_on_fail=True, max_attempts=2, backoff_delay_ms=0)
    queue.fail(pull_one(queue), "broken")
    assert queue.get_job(job_id).state is JobState.WAITING

    queue.fail(pull_one(queue), "broken")

    with pytest.raises(JobNotFound):
        queue.get_job(job_id)


def test_custom_id_metadata_and_flow_id_are_kept_and_found(queue: PyQueue) -> None:
    job_id = queue.push("q", "labelled", custom_id="order-7", metadata={"by": ["me"]}, flow_id="f")

    job = queue.get_job(job_id)

    assert (job.custom_id, job.metadata, job.flow_id) == ("order-7", {"by": ["me"]}, "f")
    assert [each.id for each in queue.list_jobs(custom_id="order-7").jobs] == [job_id]
    assert [each.id for each in queue.list_jobs(flow_id="f").jobs] == [job_id]


def test_depends_on_blocks_until_all_parents_have_completed(queue: PyQueue) -> None:
    parents = [queue.push("p", "parent") for _ in range(2)]
    child = queue.push("q", "child", depends_on=parents)

    assert queue.get_job(child).depends_on == tuple(parents)
    for job in queue.pull("p", count=2):
        assert queue.get_job(child).state is JobState.BLOCKED
        queue.ack(job)

    assert pull_names(queue) == ["child"]


def test_depends_on_keeps_the_delay_of_the_child(queue: PyQueue, clock: FakeClock) -> None:
    parent = queue.push("p", "parent")
    child = queue.push("q", "child", depends_on=[parent], delay_ms=5_000)

    queue.ack(queue.pull("p")[0])

    assert queue.get_job(child).state is JobState.DELAYED
    clock.advance(ms=5_000)
    assert pull_names(queue) == ["child"]


def test_depends_on_a_completed_job_does_not_block(queue: PyQueue) -> None:
    parent = queue.push("p", "parent")
    queue.ack(queue.pull("p")[0])

    queue.push("q", "child", depends_on=[parent])

    assert pull_names(queue) == ["child"]


def test_children_of_a_dead_parent_die_with_it(queue: PyQueue) -> None:
    parent = queue.push("p", "parent", max_attempts=1)
    child = queue.push("q", "child", depends_on=[parent])
    grandchild = queue.push("q", "grandchild", depends_on=[child])

    queue.fail(queue.pull("p")[0], "broken")

    assert [queue.get_job(each).state for each in (child, grandchild)] == [JobState.DLQ, JobState.DLQ]
    assert queue.get_job(child).last_error == f"parent job '{parent}' moved to DLQ"
    with pytest.raises(ValidationError, match="will not complete"):
        queue.push("q", "late", depends_on=[parent])


def test_none_means_not_given(queue: PyQueue) -> None:
    everything_none: Any = dict.fromkeys(JobOptions.__annotations__)

    job = queue.get_job(queue.push("q", "plain", **everything_none))

    assert (job.state, job.priority, job.max_attempts, job.backoff) == (JobState.WAITING, 0, 3, Backoff.EXPONENTIAL)
    assert (job.backoff_delay_ms, job.tags, job.metadata, job.delay_until) == (1_000, (), None, None)


WRONG: Sequence[tuple[str, Any]] = [
    ("priority", "1"),
    ("priority", 2**31),
    ("priority", True),
    ("delay_ms", -1),
    ("delay_ms", 1.5),
    ("delay_ms", limits.DURATION_MS_MAX + 1),
    ("run_at", datetime(2030, 1, 1)),
    ("run_at", timedelta(seconds=-1)),
    ("run_at", "tomorrow"),
    ("max_attempts", -1),
    ("max_attempts", 2**32),
    ("backoff", "random"),
    ("backoff", 1),
    ("backoff_delay_ms", -1),
    ("backoff_jitter", 1),
    ("ttl_ms", -1),
    ("timeout_ms", 0),
    ("unique_key", ""),
    ("unique_key", 7),
    ("tags", "red"),
    ("tags", [1]),
    ("tags", ["x"] * 65),
    ("group_id", "g" * 257),
    ("group_id", "a\0b"),
    ("lifo", "yes"),
    ("remove_on_complete", 1),
    ("remove_on_fail", "no"),
    ("custom_id", 5),
    ("metadata", {object()}),
    ("metadata", float("nan")),
    ("depends_on", "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"),
    ("depends_on", ["not-an-id"]),
    ("flow_id", []),
    ("max_retries", 3),
]


@pytest.mark.parametrize(("option", "value"), WRONG, ids=[f"{name}={shown(value):.30}" for name, value in WRONG])
def test_a_wrong_value_is_refused_and_nothing_is_stored(queue: PyQueue, option: str, value: Any) -> None:
    wrong: Any = {option: value}

    with pytest.raises(ValidationError, match=r"(?i)expected"):
        queue.push("q", "wrong", **wrong)
    with pytest.raises(ValidationError):
        queue.push_many("q", [{"name": "right"}, {"name": "wrong", **wrong}])

    assert queue.stats("q").total == 0


def test_an_unknown_option_names_the_known_ones(queue: PyQueue) -> None:
    wrong: Any = {"retries": 3}

    with pytest.raises(ValidationError, match=r"unknown job option 'retries'.*max_attempts"):
        queue.push("q", "wrong", **wrong)


@pytest.mark.parametrize("both", [{"delay_ms": 1, "run_at": timedelta(1)}, {"lifo": True, "group_id": "g"}])
def test_options_that_contradict_each_other_are_refused(queue: PyQueue, both: Any) -> None:
    with pytest.raises(ValidationError, match="both"):
        queue.push("q", "wrong", **both)


def test_pull_order_is_that_of_a_sort_for_a_thousand_random_jobs(queue: PyQueue) -> None:
    draw = random.Random(7)
    jobs = [{"name": f"n{number}", "priority": draw.randint(-3, 3)} for number in range(1_000)]
    queue.push_many("q", jobs)

    expected = [job["name"] for job in sorted(jobs, key=lambda job: -int(str(job["priority"])))]
    assert pull_names(queue, 1_000) == expected
