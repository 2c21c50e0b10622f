"""Jobs as JSON: the complete object of the wire format, with the stored text as it is."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from pyqueue import Job, JobState, PyQueue
from pyqueue.core.engine.pull import PullToPassOn
from pyqueue.core.engine.taken import Taken
from pyqueue.core.errors import ValidationError
from pyqueue.core.shapes import job_json, job_object, job_texts
from pyqueue.testing import FakeClock

# Of the wire format's table, in its order.
WIRE_KEYS = {
    "id", "custom_id", "name", "queue", "data", "result", "state", "progress", "logs", "priority", "delay_until",
    "created_at", "updated_at", "started_at", "completed_at", "max_attempts", "attempt", "backoff",
    "backoff_delay_ms", "last_error", "ttl_ms", "timeout_ms", "unique_key", "tags", "group_id",
    "depends_on", "flow_id", "lifo", "remove_on_complete", "remove_on_fail", "worker_id", "last_heartbeat",
}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "priority": -3,
    "max_attempts": 7,
    "backoff": "linear",
    "backoff_delay_ms": 5,
    "backoff_jitter": True,
    "ttl_ms": 60_000,
    "timeout_ms": 50_000,
    "unique_key": 'a "key"\n',
    "tags": ["one", 'tw"o'],
    "group_id": "gröup",
    "remove_on_complete": True,
    "remove_on_fail": True,
    "custom_id": "\\c",
    "metadata": {"m": [1.5, None]},
    "flow_id": "f",
}


def test_a_plain_job_has_every_key_but_metadata(queue: PyQueue) -> None:
    job = queue.get_job(queue.push("q", "n", {"a": 1}))

    shape = job_object(job)

    assert set(shape) == WIRE_KEYS
    assert shape["data"] == {"a": 1}
    assert shape["state"] == "waiting"
    assert shape["created_at"] == shape["updated_at"] == "2030-01-01T00:00:00.000000Z"


def test_a_job_with_every_option_shows_each(queue: PyQueue) -> None:
    parent = queue.push("q", "n")
    job = queue.get_job(queue.push("q", "n", [], depends_on=[parent], **EVERYTHING))

    shape = job_object(job)

    assert set(shape) == WIRE_KEYS | {"metadata", "expires_at", "backoff_jitter"}
    assert {key: shape[key] for key in EVERYTHING} == EVERYTHING
    assert shape["depends_on"] == [parent]
    assert shape["state"] == "blocked"


def test_a_job_on_its_way_shows_what_was_reported(queue: PyQueue, clock: FakeClock) -> None:
    job_id = queue.push("q", "n", None, lifo=True, max_attempts=1)
    [pulled] = queue.pull("q", worker_id='w"1', lease_ms=1_000)
    clock.advance(ms=1)
    queue.heartbeat(pulled, lease_ms=1_000)
    queue.progress(pulled, 40, "läuft\t…")
    queue.cancel(job_id)

    shape = job_object(queue.get_job(job_id))

    assert (shape["lease"], shape["lease_until"]) == (1, "2030-01-01T00:00:01.001000Z")
    assert (shape["worker_id"], shape["progress"], shape["lifo"]) == ('w"1', 40, True)
    assert shape["logs"] == [{"timestamp": "2030-01-01T00:00:00.001000Z", "message": "läuft\t…"}]
    assert shape["last_heartbeat"] == "2030-01-01T00:00:00.001000Z"
    assert shape["cancel_requested"] is True


def test_what_a_job_came_to_is_shown(queue: PyQueue, clock: FakeClock) -> None:
    first, second = queue.push("q", "n"), queue.push("q", "n", max_attempts=1)
    pulled = queue.pull("q", count=2)
    queue.ack(first, {"r": "ü"})
    queue.fail(second, 'line "1"\nline 2')
    delayed = queue.push("q", "n", run_at=timedelta(seconds=1.5))

    done, dead, later = (job_object(queue.get_job(each)) for each in (first, second, delayed))

    assert len(pulled) == 2
    assert (done["result"], done["completed_at"]) == ({"r": "ü"}, "2030-01-01T00:00:00.000000Z")
    assert (dead["state"], dead["last_error"], dead["attempt"]) == ("dlq", 'line "1"\nline 2', 1)
    assert (later["state"], later["delay_until"]) == ("delayed", "2030-01-01T00:00:01.500000Z")
    assert "lease" not in done


def test_the_data_is_passed_through_as_it_was_pushed(queue: PyQueue) -> None:
    given = b'{"a" :  1.50, "a": "\\u00fc", "big": 123456789012345678901234567890}'

    job = queue.get_job(queue.push("q", "n", msgspec.Raw(given)))

    assert given in job_json(job)


@pytest.mark.parametrize("broken", [b"{", b"", b"01", b'"\xff"', b"{'a': 1}", b"[" * 5_000 + b"]" * 5_000])
def test_text_that_is_not_json_is_refused(queue: PyQueue, broken: bytes) -> None:
    with pytest.raises(ValidationError, match="payload"):
        queue.push("q", "n", msgspec.Raw(broken))

    assert queue.list_jobs().jobs == []


def test_json_text_has_the_limit_of_any_other_data(queue: PyQueue) -> None:
    queue.push("q", "n", msgspec.Raw(b'"' + b"x" * 1_048_574 + b'"'))

    with pytest.raises(ValidationError, match="1,048,577 bytes"):
        queue.push("q", "n", msgspec.Raw(b'"' + b"x" * 1_048_575 + b'"'))


def test_results_and_metadata_may_be_json_text_too(queue: PyQueue) -> None:
    job_id = queue.push("q", "n", metadata=msgspec.Raw(b'{"m": 1}'))
    [job] = queue.pull("q")
    queue.ack(job, msgspec.Raw(b"[1, 2]"))

    done: Job = queue.get_job(job_id)

    assert (done.metadata, done.result, done.state) == ({"m": 1}, [1, 2], JobState.COMPLETED)


def test_what_a_server_passes_on_is_written_as_every_job(queue: PyQueue) -> None:
    queue.push("q", "n", {"a": 1})
    queue.push_many("q", [{"name": "m", "priority": 5}, {"name": "o", "priority": 5}])

    taken = queue._runtime.write(PullToPassOn(("q",), 10, 30_000, 'a "worker"'))

    assert isinstance(taken, Taken)
    assert [job.name for job in taken.jobs()] == ["m", "o", "n"]
    assert taken.texts() == [job_json(queue.get_job(job.id)).decode() for job in taken.jobs()]


@pytest.mark.parametrize("option", sorted(EVERYTHING.keys() - {"priority"}))
def test_a_server_is_given_whole_jobs_where_one_uses_an_option(queue: PyQueue, option: str) -> None:
    queue.push("q", "n")
    job_id = queue.push("q", "n", **{option: EVERYTHING[option]})

    taken = queue._runtime.write(PullToPassOn(("q",), 10, 30_000, None))

    pulled = {job.id: job for job in (taken.jobs() if isinstance(taken, Taken) else taken)}
    texts = taken.texts() if isinstance(taken, Taken) else job_texts(taken)
    assert json.loads(texts[[*pulled].index(job_id)]) == job_object(queue.get_job(job_id))


def test_a_server_is_given_whole_jobs_where_one_was_run_before(queue: PyQueue) -> None:
    job_id = queue.push("q", "n")
    [job] = queue.pull("q")
    queue.progress(job, 10, "half way")
    queue.release(job)

    taken = queue._runtime.write(PullToPassOn(("q",), 10, 30_000, None))

    assert not isinstance(taken, Taken)
    assert [job.id for job in taken] == [job_id] and taken[0].logs[0].message == "half way"
