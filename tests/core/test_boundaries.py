"""Every limit: what lies just inside is kept, what lies just outside is refused and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from pyqueue import PyQueue
from pyqueue.core import limits
from pyqueue.core.errors import ValidationError
from pyqueue.testing import FakeClock


class Limit(NamedTuple):
    """A limit as its user meets it: `call(queue, n)` hands over something of the size n."""

    name: str
    largest: int
    call: Callable[[Any, int], object]
    says: str


def running(queue: PyQueue) -> str:
    """The id of an active job."""
    job_id = queue.push("q", "n")
    [job] = queue.pull("q")
    return job.id if job.id == job_id else pytest.fail("another job was there")


def parents(queue: PyQueue, count: int) -> list[str]:
    return queue.push_many("p", [{"name": "n"}] * count)


LIMITS = [
    Limit("QUEUE_NAME_BYTES_MAX", 256, lambda queue, n: queue.push("q" * n, "n"), "maximum length 256"),
    Limit("JOB_NAME_BYTES_MAX", 1_024, lambda queue, n: queue.push("q", "n" * n), "maximum length 1024"),
    Limit("DATA_BYTES_MAX", 1_048_576, lambda queue, n: queue.push("q", "n", "x" * (n - 2)), "1,048,577 bytes"),
    Limit(
        "METADATA_BYTES_MAX",
        65_536,
        lambda queue, n: queue.push("q", "n", metadata="x" * (n - 2)),
        "metadata has 65,537 bytes",
    ),
    Limit(
        "UNIQUE_KEY_BYTES_MAX", 1_024, lambda queue, n: queue.push("q", "n", unique_key="k" * n), "Unique key.*1,025"
    ),
    Limit("ERROR_BYTES_MAX", 10_240, lambda queue, n: queue.fail(running(queue), "e" * n), "Error message has 10,241"),
    Limit("RESULT_BYTES_MAX", 1_048_576, lambda queue, n: queue.ack(running(queue), "r" * (n - 2)), "result has 1,048"),
    Limit("TAGS_MAX", 64, lambda queue, n: queue.push("q", "n", tags=list(map(str, range(n)))), "tags has 65 entries"),
    Limit("TAG_BYTES_MAX", 256, lambda queue, n: queue.push("q", "n", tags=["t" * n]), "tags entry has 257"),
    Limit("LABEL_BYTES_MAX", 256, lambda queue, n: queue.push("q", "n", custom_id="c" * n), "custom_id has 257"),
    Limit("LABEL_BYTES_MAX", 256, lambda queue, n: queue.push("q", "n", group_id="g" * n), "group_id has 257"),
    Limit("LABEL_BYTES_MAX", 256, lambda queue, n: queue.push("q", "n", flow_id="é" * (n // 2) + "f" * (n % 2)), "257"),
    Limit("LABEL_BYTES_MAX", 256, lambda queue, n: queue.pull("q", worker_id="w" * n), "worker_id has 257"),
    Limit("WORKER_NAME_BYTES_MAX", 200, lambda queue, n: queue.worker("q", print, name="w" * n), "name has 201"),
    Limit("MESSAGE_BYTES_MAX", 4_096, lambda queue, n: queue.progress(running(queue), 1, "m" * n), "message has 4,097"),
    Limit(
        "PARENTS_MAX",
        10_000,
        lambda queue, n: queue.push("q", "n", depends_on=parents(queue, n)),
        "depends_on has 10,001 entries",
    ),
    Limit("FLOW_DEPTH_MAX", 1_000_000, lambda _, n: PyQueue("unused.db", max_flow_depth=n), "max_flow_depth 1000001"),
    Limit("PRIORITY_MAX", 2**31 - 1, lambda queue, n: queue.push("q", "n", priority=n), "priority 2147483648"),
    Limit("PRIORITY_MAX", 2**31, lambda queue, n: queue.push("q", "n", priority=-n), "priority -2147483649"),
    Limit("ATTEMPTS_MAX", 2**32 - 1, lambda queue, n: queue.push("q", "n", max_attempts=n), "max_attempts 4294967296"),
    *(
        Limit("DURATION_MS_MAX", 3_153_600_000_000, call, says)
        for call, says in (
            (lambda queue, n: queue.push("q", "n", delay_ms=n), "delay_ms 3153600000001"),
            (lambda queue, n: queue.push("q", "n", ttl_ms=n), "ttl_ms 3153600000001"),
            (lambda queue, n: queue.push("q", "n", timeout_ms=n), "timeout_ms 3153600000001"),
            (lambda queue, n: queue.push("q", "n", backoff_delay_ms=n), "backoff_delay_ms 3153600000001"),
            (lambda queue, n: queue.release(running(queue), delay_ms=n), "delay_ms 3153600000001"),
            (lambda queue, n: queue.fail(running(queue), "e", delay_ms=n), "delay_ms 3153600000001"),
        )
    ),
    Limit("LEASE_MS_MAX", 86_400_000, lambda queue, n: queue.pull("q", lease_ms=n), "lease_ms 86400001"),
    Limit(
        "LEASE_MS_MAX", 86_400_000, lambda queue, n: queue.heartbeat(running(queue), lease_ms=n), "lease_ms 86400001"
    ),
    Limit("LEASE_MS_MIN", -10, lambda queue, n: queue.pull("q", lease_ms=-n), "lease_ms 9"),
    Limit("LEASE_MS_MIN", -10, lambda _, n: PyQueue("unused.db", lease_ms=-n), "lease_ms 9"),
    Limit("CONCURRENCY_MAX", 1_000_000, lambda queue, n: queue.set_limit("q", concurrency=n), "concurrency 1000001"),
    Limit("BURST_MAX", 1_000_000, lambda queue, n: queue.set_limit("q", rate=1, burst=n), "burst 1000001"),
    Limit("LABEL_BYTES_MAX", 256, lambda queue, n: queue.push("q", "n", limit_key="k" * n), "limit_key has 257"),
    Limit("WAIT_MS_MAX", 86_400_000, lambda queue, n: queue.pull("q", count=0, wait_ms=n), "wait_ms 86400001"),
    Limit("LIST_LIMIT_MAX", 1_000, lambda queue, n: queue.list_jobs(limit=n), "limit 1001"),
]

# Not refusals: numbers that clamp, cut or tune. The tests named here show what they do.
OTHERS = {
    "LOGS_MAX": "test_limits: the newest are kept",
    "BACKOFF_MS_MAX": "test_options: the ceiling",
    "LEASE_MS_DEFAULT": "below",
    "PULL_COUNT_MAX": "below",
    "ROWS_PER_STATEMENT": "below",
    "SWEEP_CHUNK": "test_leases: chunks",
    "STEPS_MAX": "test_steps: no more of them",
    "DRAIN_RUNS_MAX": "test_drain: a job that pushes itself",
    "SCHEDULE_NAME_BYTES_MAX": "test_schedules: names",
    "EVERY_MS_FLOOR": "test_schedules: intervals",
    "BACKFILL_DEFAULT": "test_schedules: misfires",
    "BACKFILL_MAX": "test_schedules: misfires",
    "MISFIRE_GRACE_MS": "test_schedules: misfires",
    "SCHEDULE_RUNS_KEPT": "test_schedules: the last runs",
    "FIRE_CHUNK": "test_schedules: chunks",
}


def test_every_limit_is_tried() -> None:
    named = {name for name in vars(limits) if name.isupper()}

    assert {limit.name for limit in LIMITS} | set(OTHERS) == named


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.name}-{limit.says}")
def test_just_inside_is_kept(queue: PyQueue, limit: Limit) -> None:
    limit.call(queue, limit.largest)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.name}-{limit.says}")
def test_just_outside_is_refused_and_nothing_is_kept(queue: PyQueue, limit: Limit) -> None:
    with pytest.raises(ValidationError, match=limit.says) as caught:
        limit.call(queue, limit.largest + 1)

    assert "expected" in str(caught.value) or "shorten it" in str(caught.value)
    counts = queue.stats("q")
    assert counts.total == counts.active, "at most the running job that the call was about"


def test_a_lease_lasts_half_a_minute_unless_said_otherwise(queue: PyQueue, clock: FakeClock) -> None:
    queue.push_many("q", [{"name": "n"}] * 2)

    [first] = queue.pull("q")
    [second] = queue.pull("q", lease_ms=500)

    assert first.lease_until is not None
    assert second.lease_until is not None
    assert (first.lease_until - clock.now).total_seconds() * 1_000 == limits.LEASE_MS_DEFAULT == 30_000
    assert (second.lease_until - clock.now).total_seconds() == 0.5


@pytest.mark.parametrize("count", [499, 500, 501, 1_003])
def test_batches_around_the_size_of_a_statement_are_whole(queue: PyQueue, count: int) -> None:
    ids = queue.push_many("q", [{"name": f"n{number}", "tags": ["t"]} for number in range(count)])

    jobs = queue.pull("q", count=count + 1)

    assert [job.id for job in jobs] == ids
    assert all(result.ok for result in queue.ack_many(jobs))
    assert queue.stats("q").completed == count


def test_one_pull_takes_no_more_than_ten_thousand(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "n"}] * (limits.PULL_COUNT_MAX + 1))

    assert len(queue.pull("q", count=10**6)) == limits.PULL_COUNT_MAX


def test_a_parent_named_twice_is_one_parent(queue: PyQueue) -> None:
    parent = queue.push("q", "parent")
    child = queue.push("q", "child", depends_on=[parent, parent])

    queue.ack(queue.pull("q")[0])

    assert queue.get_job(child).depends_on == (parent,)
    assert [job.id for job in queue.pull("q")] == [child]
