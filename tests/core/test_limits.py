"""Each limit refuses what is beyond it, with a message that helps, and accepts what just fits."""

from __future__ import annotations

from typing import Any

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core import limits
from pyqueue.core.errors import ValidationError

TOO_MUCH: list[tuple[str, dict[str, Any], str]] = [
    ("empty queue name", {"queue": ""}, "non-empty"),
    ("long queue name", {"queue": "q" * 257}, "exceeds maximum length 256"),
    ("odd queue name", {"queue": "a b/c"}, r"alphanumeric.*Try 'a-b-c'"),
    ("queue name of another type", {"queue": 7}, "expected a string"),
    ("empty job name", {"name": ""}, "non-empty"),
    ("long job name", {"name": "n" * 1_025}, "exceeds maximum length 1024"),
    ("odd job name", {"name": "é"}, "alphanumeric"),
    ("large data", {"data": "x" * 1_048_575}, r"payload.*1,048,577 bytes.*at most 1,048,576"),
    ("data that escapes to more", {"data": '"' * 600_000}, "payload"),
    ("data that is not JSON", {"data": object()}, "payload.*JSON"),
    ("data with a number JSON has not", {"data": {"n": [float("inf")]}}, "payload.*infinity"),
    ("large metadata", {"metadata": "x" * 65_535}, "metadata has 65,537 bytes"),
    ("long unique key", {"unique_key": "é" * 513}, r"Unique key.*1,026 bytes.*1,024"),
    ("many tags", {"tags": [str(number) for number in range(65)]}, "tags has 65 entries"),
    ("long tag", {"tags": ["t" * 257]}, "tags entry has 257 bytes"),
    ("many parents", {"depends_on": ["x"] * 10_001}, "depends_on has 10,001 entries"),
]

JUST_FITS: list[dict[str, Any]] = [
    {"queue": "q" * 256},
    {"name": "n" * 1_024},
    {"data": "x" * 1_048_574},
    {"metadata": "x" * 65_534},
    {"unique_key": "é" * 512},
    {"tags": [f"{number:03}".ljust(256, "t") for number in range(64)]},
    {"priority": -(2**31), "max_attempts": 2**32 - 1, "delay_ms": limits.DURATION_MS_MAX},
]


@pytest.mark.parametrize(("given", "message"), [case[1:] for case in TOO_MUCH], ids=[case[0] for case in TOO_MUCH])
def test_what_is_beyond_a_limit_is_refused_and_nothing_is_stored(
    queue: PyQueue, given: dict[str, Any], message: str
) -> None:
    call = {"queue": "q", "name": "n", **given}

    with pytest.raises(ValidationError, match=message) as caught:
        queue.push(**call)

    assert queue.queues() == []
    assert len(str(caught.value)) < 500, "a message shows the value cut to a sane length"


@pytest.mark.parametrize("given", JUST_FITS, ids=lambda given: "-".join(given))
def test_what_just_fits_is_kept_as_it_is(queue: PyQueue, given: dict[str, Any]) -> None:
    call = {"queue": "q", "name": "n", **given}

    job = queue.get_job(queue.push(**call))

    for option, value in given.items():
        if option != "delay_ms":
            assert getattr(job, option) == (tuple(value) if option == "tags" else value)


def test_a_long_error_text_is_refused_and_the_job_stays_active(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")

    with pytest.raises(ValidationError, match=r"Error message has 10,241 bytes"):
        queue.fail(job, "x" * 10_241)

    assert queue.get_job(job).state is JobState.ACTIVE
    queue.fail(job, "x" * 10_240)


def test_a_long_exception_is_cut_at_the_front(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")

    queue.fail(job, ValueError("é" * 20_000 + " the end"))

    error = str(queue.get_job(job).last_error)
    assert len(error.encode()) <= 10_240
    assert error.startswith("… (cut)")
    assert error.endswith("the end")


def test_progress_is_clamped_above_and_refused_below(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")

    queue.progress(job, 300)

    assert queue.get_job(job).progress == 100
    wrong: Any
    for wrong in (-1, 1.5, "7", True):
        with pytest.raises(ValidationError, match="progress"):
            queue.progress(job, wrong)
    with pytest.raises(ValidationError, match="progress message has 4,097 bytes"):
        queue.progress(job, 1, "m" * 4_097)


def test_the_log_of_a_job_keeps_its_newest_thousand_messages(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")

    for number in range(limits.LOGS_MAX + 5):
        queue.progress(job, 1, f"m{number}")

    logs = queue.get_job(job).logs
    assert len(logs) == limits.LOGS_MAX
    assert (logs[0].message, logs[-1].message) == ("m5", f"m{limits.LOGS_MAX + 4}")


def test_pull_count_is_clamped_above_and_refused_below(queue: PyQueue) -> None:
    queue.push("q", "n")

    assert len(queue.pull("q", count=2**62)) == 1
    assert queue.pull("q", count=0) == []
    wrong: Any
    for wrong in (-1, 1.0, None):
        with pytest.raises(ValidationError, match="count"):
            queue.pull("q", count=wrong)


@pytest.mark.parametrize("wrong", [{"lease_ms": 9}, {"lease_ms": 10**9}, {"wait_ms": -1}, {"worker_id": "w" * 257}])
def test_leases_waits_and_worker_ids_have_limits(queue: PyQueue, wrong: Any) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        queue.pull("q", **wrong)


def test_pull_from_no_queue_is_refused(queue: PyQueue) -> None:
    with pytest.raises(ValidationError, match="no queue"):
        queue.pull([])


def test_a_large_result_is_refused_and_the_job_stays_active(queue: PyQueue) -> None:
    queue.push("q", "n")
    [job] = queue.pull("q")

    with pytest.raises(ValidationError, match="result has"):
        queue.ack(job, "x" * limits.RESULT_BYTES_MAX)

    assert queue.get_job(job).state is JobState.ACTIVE


def test_list_limits_are_kept(queue: PyQueue) -> None:
    for limit in (0, 1_001):
        with pytest.raises(ValidationError, match="limit"):
            queue.list_jobs(limit=limit)
