"""The waits between attempts, as laws of the function and as what the queue does with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqueue import Backoff, JobState, PyQueue
from pyqueue.core.backoff import next_delay_ms
from pyqueue.core.limits import BACKOFF_MS_MAX, DURATION_MS_MAX
from pyqueue.testing import FakeClock

ATTEMPTS = st.integers(1, 2**32 - 1)
BASES = st.integers(0, DURATION_MS_MAX)


@given(attempt=ATTEMPTS, base_ms=BASES)
def test_fixed_is_always_the_base(attempt: int, base_ms: int) -> None:
    assert next_delay_ms(attempt, kind=Backoff.FIXED, base_ms=base_ms) == base_ms


@given(attempt=ATTEMPTS, base_ms=BASES)
def test_linear_grows_by_the_base_each_time_until_the_ceiling(attempt: int, base_ms: int) -> None:
    now = next_delay_ms(attempt, kind=Backoff.LINEAR, base_ms=base_ms)
    then = next_delay_ms(attempt + 1, kind=Backoff.LINEAR, base_ms=base_ms)

    assert then - now == base_ms or then == max(base_ms, BACKOFF_MS_MAX)


@given(attempt=ATTEMPTS, base_ms=BASES)
def test_exponential_doubles_each_time_until_the_ceiling(attempt: int, base_ms: int) -> None:
    now = next_delay_ms(attempt, kind=Backoff.EXPONENTIAL, base_ms=base_ms)
    then = next_delay_ms(attempt + 1, kind=Backoff.EXPONENTIAL, base_ms=base_ms)

    assert then in (2 * now, max(base_ms, BACKOFF_MS_MAX))


@given(kind=st.sampled_from(Backoff), base_ms=BASES)
def test_the_first_wait_is_the_base_whatever_the_shape(kind: Backoff, base_ms: int) -> None:
    assert next_delay_ms(1, kind=kind, base_ms=base_ms) == base_ms


@pytest.mark.parametrize("base_ms", [0, 1, 1_000, BACKOFF_MS_MAX, DURATION_MS_MAX])
@pytest.mark.parametrize("kind", Backoff)
def test_the_queue_waits_as_the_law_says_through_many_attempts(
    queue: PyQueue, clock: FakeClock, kind: Backoff, base_ms: int
) -> None:
    job_id = queue.push("q", "n", backoff=kind, backoff_delay_ms=base_ms, max_attempts=25)
    for attempt in range(1, 25):
        [job] = queue.pull("q")
        expected_ms = next_delay_ms(attempt, kind=kind, base_ms=base_ms)

        result = queue.fail(job, "broken")

        expected = clock.now + timedelta(milliseconds=expected_ms) if expected_ms else None
        assert (result.next_attempt_at, queue.get_job(job_id).delay_until) == (expected, expected)
        clock.advance(seconds=expected_ms // 1_000, ms=expected_ms % 1_000 + 1)
        if clock.now.year > 2_900:  # what datetime can hold is far away, but not endless
            return

    assert queue.fail(queue.pull("q")[0], "broken").state is JobState.DLQ


@pytest.mark.parametrize("kind", ["fixed", Backoff.FIXED])
def test_the_shape_is_given_as_a_name_or_as_the_enum(queue: PyQueue, kind: Backoff | str) -> None:
    job = queue.get_job(queue.push("q", "n", backoff=kind, backoff_jitter=True))

    assert (job.backoff, job.backoff_jitter) == (Backoff.FIXED, True)


def test_a_delay_given_with_the_failure_counts_once(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n", backoff="fixed", backoff_delay_ms=1_000)
    queue.fail(queue.pull("q")[0], "broken", delay_ms=5)
    clock.advance(ms=5)

    result = queue.fail(queue.pull("q")[0], "broken")

    assert result.next_attempt_at == clock.now + timedelta(seconds=1)


def test_jitter_of_nothing_is_nothing(queue: PyQueue) -> None:
    queue.push("q", "n", backoff_delay_ms=0, backoff_jitter=True)

    assert queue.fail(queue.pull("q")[0], "broken").next_attempt_at is None
