"""Ids: in the order of the pushes, never given out twice, whatever the clock does and whatever is deleted."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyqueue import PyQueue
from pyqueue.core import ids
from pyqueue.core.errors import JobNotFound, ValidationError
from pyqueue.testing import FakeClock

FORMS: dict[str, Callable[[str], str]] = {
    "as given": lambda text: text,
    "upper case": str.upper,
    "without hyphens": lambda text: text.replace("-", ""),
    "in braces": lambda text: f"{{{text}}}",
    "as a urn": lambda text: f"urn:uuid:{text}",
    "as a urn in braces": lambda text: f"URN:UUID:{{{text.upper()}}}",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_call_takes_an_id_in_every_form(queue: PyQueue, form: str) -> None:
    parent = FORMS[form](queue.push("p", "n"))
    child = FORMS[form](queue.push("q", "n", depends_on=[parent]))

    queue.pull("p")
    queue.progress(parent, 1)
    queue.heartbeat(parent)
    queue.ack(parent, "done")
    queue.pull("q")
    queue.fail(child, "broken", retry=False)
    queue.retry(child)
    queue.cancel(child)

    assert queue.wait_for(parent) == "done"
    assert len(queue.attempts(child)) == 1
    queue.delete(child)


@pytest.mark.parametrize("text", ["", "7", "x" * 36, "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5", "0199c3a4_7c1e", "é"])
def test_what_is_no_uuid_is_refused_with_an_example(queue: PyQueue, text: str) -> None:
    with pytest.raises(ValidationError, match="is not a UUID; expected the text that push"):
        queue.get_job(text)


def test_an_id_of_another_database_is_foreign(queue: PyQueue, tmp_path: Path) -> None:
    with PyQueue(tmp_path / "other.db") as other:
        theirs = other.push("q", "n")

    with pytest.raises(JobNotFound, match=f"{theirs} is not known here"):
        queue.get_job(theirs)


def test_an_id_is_a_uuid_of_version_7_that_tells_when_the_job_was_made(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n")

    parsed = uuid.UUID(job_id)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, job_id)
    assert parsed.int >> 80 == clock.now_us() // 1_000
    assert queue.get_job(job_id).created_at == clock.now
    assert re.fullmatch(r"[0-9a-f-]{36}", job_id)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(-3_000, 3_000), st.integers(1, 4), st.sampled_from(["keep", "delete", "ack", "purge", "reopen"])
        ),
        max_size=12,
    )
)
def test_ids_only_ever_grow(steps: list[tuple[int, int, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("ids") / "jobs.db"
    clock = FakeClock()
    queue = PyQueue(path, clock=clock, durability="process")
    given_out: list[str] = []
    for step_ms, count, after in steps:
        clock.advance(ms=step_ms or 1)
        given_out += queue.push_many("q", [{"name": "n", "remove_on_complete": after == "ack"}] * count)
        match after:
            case "delete":
                queue.delete(given_out[-1])
            case "ack":
                queue.ack_many(queue.pull("q", count=99))
            case "purge":
                queue.purge("q")
            case "reopen":
                queue.close()
                queue = PyQueue(path, clock=clock, durability="process")
    queue.close()

    assert given_out == sorted(set(given_out))


@pytest.mark.parametrize("remove", ["delete", "purge", "remove_on_complete", "retention", "remove_on_fail"])
def test_the_id_of_a_job_that_is_gone_is_not_given_out_again_within_its_millisecond(
    path: Path, clock: FakeClock, remove: str
) -> None:
    with PyQueue(path, clock=clock) as queue:
        queue.push("q", "older")
        gone = queue.push(
            "last", "n", remove_on_complete=remove == "remove_on_complete", remove_on_fail=remove == "remove_on_fail"
        )
        match remove:
            case "delete":
                queue.delete(gone)
            case "purge":
                queue.purge("last")
            case "remove_on_complete":
                queue.ack(queue.pull("last")[0])
            case "remove_on_fail":
                queue.fail(queue.pull("last")[0], "broken", retry=False)
            case "retention":
                queue.ack(queue.pull("last")[0])
                clock.advance(seconds=8 * 86_400)
                assert queue.housekeep().removed == 1
                clock.advance(seconds=-8 * 86_400)

    with PyQueue(path, clock=clock) as queue:
        later = queue.push("q", "n")
        assert later > gone
        with pytest.raises(JobNotFound):
            queue.get_job(gone)


def test_ids_of_many_threads_and_handles_are_all_different(path: Path) -> None:
    with PyQueue(path, durability="process") as one, PyQueue(path, durability="process") as other:
        results: list[list[str]] = []

        def push_some(queue: PyQueue) -> None:
            results.append([queue.push("q", "n") for _ in range(50)])

        threads = [threading.Thread(target=push_some, args=(queue,)) for queue in (one, other) * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        given_out = [job_id for result in results for job_id in result]
        assert len(set(given_out)) == len(given_out) == 300
        assert all(result == sorted(result) for result in results)


def test_more_jobs_than_a_millisecond_has_numbers_for_run_over_into_the_next(queue: PyQueue, clock: FakeClock) -> None:
    """Not tried with two million jobs: the arithmetic is the same at the edge."""
    salt, last = 5, ids.first_key(clock.now_us()) + 2**ids.SEQUENCE_BITS - 1

    edge, beyond = ids.to_text(last, salt), ids.to_text(last + 1, salt)

    assert edge < beyond
    assert ids.to_key(beyond, salt) == last + 1 == ids.first_key(clock.now_us() + 1_000)
