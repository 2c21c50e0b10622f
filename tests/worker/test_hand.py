"""The hand of a worker: of all who could end a run, one does; and a run is not another run of the same job."""

from __future__ import annotations

import pytest

from pyqueue import Job, PyQueue
from pyqueue.core.worker.hand import Hand

pytestmark = pytest.mark.sqlite


@pytest.fixture
def runs(queue: PyQueue) -> tuple[Job, Job]:
    """Two runs of one job, the first of which was given back."""
    queue.push("q", "n")
    [first] = queue.pull("q")
    queue.release(first)
    [second] = queue.pull("q")
    return first, second


def test_a_run_that_was_given_back_cannot_start_in_place_of_the_next(runs: tuple[Job, Job]) -> None:
    """A runner still had the job in its line, and started it under the lease that was over."""
    first, second = runs
    hand = Hand()
    hand.take([first])
    assert hand.take_back() == [first]
    hand.take([second])

    assert not hand.start(first)
    assert hand.start(second)


def test_only_the_first_to_end_a_run_does(runs: tuple[Job, Job]) -> None:
    _, job = runs
    hand = Hand()
    hand.take([job])
    assert not hand.finish(job), "it has not begun"
    hand.start(job)

    assert [hand.finish(job), hand.finish(job)] == [True, False]
    assert hand.counts() == (0, 0, 1)


def test_the_late_end_of_a_run_does_not_end_the_next(runs: tuple[Job, Job]) -> None:
    first, second = runs
    hand = Hand()
    hand.take([first])
    hand.start(first)
    hand.finish(first)
    hand.take([second])
    hand.start(second)

    assert not hand.finish(first)
    hand.settle([first])

    assert hand.running() == [second]
    assert hand.finish(second)


def test_what_was_let_go_is_nobodys(runs: tuple[Job, Job]) -> None:
    _, job = runs
    hand = Hand()
    hand.take([job])
    hand.start(job)

    assert hand.let_go() == [job]
    assert hand.is_empty()
    assert not hand.finish(job)
