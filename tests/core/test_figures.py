"""Figures for those who watch: totals that only grow, ages, and leases that nobody takes back."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyqueue import PyQueue
from pyqueue.core.engine.figures import ForgetTotals
from pyqueue.core.engine.processes import ForgetEvents
from pyqueue.core.figures import Total
from pyqueue.core.states import JobState
from pyqueue.core.transitions import Event
from pyqueue.testing import FakeClock


def total(queue: PyQueue, event: Event, state: JobState | None) -> int:
    return sum(each.jobs for each in queue.figures().totals if each.event is event and each.state is state)


def test_totals_say_what_has_happened_and_where_it_led(queue: PyQueue) -> None:
    queue.push_many("q", [{"name": "n", "max_attempts": 1}] * 4)
    done, dead, *_ = queue.pull("q", count=2)
    queue.ack(done)
    queue.fail(dead, "x")
    queue.delete(dead)

    assert set(queue.figures().totals) == {
        Total("q", Event.PUSH, JobState.WAITING, 4),
        Total("q", Event.PULL, JobState.ACTIVE, 2),
        Total("q", Event.ACK, JobState.COMPLETED, 1),
        Total("q", Event.FAIL, JobState.DLQ, 1),
        Total("q", Event.DELETE, None, 1),
    }


def test_totals_outlive_the_log_they_are_made_of(queue: PyQueue) -> None:
    for _ in range(30):
        queue.push("q", "n")
    while queue._runtime.write(ForgetEvents(1, 0, 10)):
        continue
    queue.push("q", "n")

    assert total(queue, Event.PUSH, JobState.WAITING) == 31


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.integers(1, 40), max_size=8))
def test_whatever_is_forgotten_in_between_the_totals_are_the_sums(queue: PyQueue, batches: list[int]) -> None:
    before = total(queue, Event.PUSH, JobState.WAITING)
    for number in batches:
        queue.push_many("q", [{"name": "n"}] * number)
        queue._runtime.write(ForgetEvents(2, 0, 3))

    assert total(queue, Event.PUSH, JobState.WAITING) == before + sum(batches)


def test_totals_of_an_empty_queue_go_when_nothing_has_happened_for_long(queue: PyQueue, clock: FakeClock) -> None:
    queue.delete(queue.push("gone", "n"))
    queue.push("kept", "n")
    queue._runtime.write(ForgetEvents(1, 0, 100))
    queue._runtime.write(ForgetTotals(1_000))
    assert {each.queue for each in queue.figures().totals} == {"gone", "kept"}

    clock.advance(seconds=2)
    queue._runtime.write(ForgetTotals(1_000))

    assert {each.queue for each in queue.figures().totals} == {"kept"}


def test_the_age_is_that_of_the_next_job_since_it_could_run(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n", delay_ms=5_000)
    assert queue.figures().ages_us == {}
    clock.advance(seconds=5)
    queue.housekeep()
    clock.advance(seconds=3)

    assert queue.figures().ages_us == {"q": 3_000_000}


def test_leases_that_are_over_are_told_until_somebody_takes_the_jobs_back(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "n")
    queue.pull("q", lease_ms=1_000)
    assert queue.figures().lapsed == {}
    clock.advance(seconds=2)
    assert queue.figures().lapsed == {"q": 1}

    queue.housekeep()

    assert queue.figures().lapsed == {}
    assert queue.housekeeping_seconds is None  # of the thread, which this handle has not started


def test_a_schedule_is_counted_by_its_name(queue: PyQueue, clock: FakeClock) -> None:
    queue.create_schedule("s", "q", "n", every_ms=1_000)
    clock.advance(seconds=1.5)
    queue.housekeep()

    assert queue.figures().fired == {"s": 1}


_STEPS = st.lists(
    st.sampled_from(["push", "push_passing", "ack", "fail", "release", "cancel", "retry", "delete", "purge", "forget"]),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_what_came_less_what_went_is_what_is_there(queue: PyQueue, steps: list[str]) -> None:
    for step in steps:
        _take(queue, step)

    totals = queue.figures().totals
    came = sum(each.jobs for each in totals if each.event is Event.PUSH)
    went = sum(each.jobs for each in totals if each.state is None)
    assert came - went == queue.stats("q").total


def _take(queue: PyQueue, step: str) -> None:
    """A step in the life of some job of the queue, if there is one for it."""
    if step.startswith("push"):
        queue.push("q", "n", max_attempts=1, remove_on_complete=step == "push_passing")
    elif step == "forget":
        queue._runtime.write(ForgetEvents(1, 0, 50))
    elif step == "purge":
        queue.purge("q")
    elif step in ("ack", "fail", "release"):
        for job in queue.pull("q"):
            getattr(queue, step)(job, *(["x"] if step == "fail" else []))
    else:
        state = {"cancel": JobState.WAITING, "retry": JobState.DLQ, "delete": JobState.CANCELLED}[step]
        for job in queue.list_jobs(queue="q", state=state, limit=1).jobs:
            getattr(queue, step)(job)
