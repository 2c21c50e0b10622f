"""A call that does not fit is refused with a message that says what was expected, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pyqueue import Backoff, Job, JobOptions, PyQueue
from pyqueue.core.errors import ConfigError, PyQueueError, ValidationError

ID = "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"

# One value of every kind that a caller might hand over; an option names the kinds that it takes.
KINDS: dict[str, Any] = {
    "integer": 7,
    "negative integer": -7,
    "float": 1.0,
    "text": "text",
    "number as text": "7",
    "empty text": "",
    "true": True,
    "bytes": b"text",
    "list of texts": ["text"],
    "list of integers": [7],
    "mapping": {"a": 1},
    "object": object(),
    "naive datetime": datetime(2030, 1, 1),
    "aware datetime": datetime(2030, 1, 1, tzinfo=UTC),
    "timedelta": timedelta(1),
    "enum": Backoff.FIXED,
    "class": int,
}
TEXTS = {"text", "number as text", "enum"}
TAKES: dict[str, set[str]] = {
    "priority": {"integer", "negative integer"},
    "delay_ms": {"integer"},
    "run_at": {"aware datetime", "timedelta"},
    "max_attempts": {"integer"},
    "backoff": {"enum"},
    "backoff_delay_ms": {"integer"},
    "backoff_jitter": {"true"},
    "ttl_ms": {"integer"},
    "timeout_ms": {"integer"},
    "unique_key": TEXTS,
    "unique_mode": set(),  # these three only with a key
    "unique_for_ms": set(),
    "unique_states": set(),
    "tags": {"list of texts"},
    "group_id": TEXTS,
    "limit_key": TEXTS,
    "lifo": {"true"},
    "remove_on_complete": {"true"},
    "remove_on_fail": {"true"},
    "custom_id": TEXTS,
    "metadata": set(KINDS) - {"object", "class"},
    "depends_on": set(),
    "on_parent_failure": set(),
    "flow_id": TEXTS,
}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ValidationError, match="expected") as caught:
        call()
    return str(caught.value)


def test_every_option_is_in_the_table() -> None:
    assert set(TAKES) == set(JobOptions.__annotations__)


@pytest.mark.parametrize("option", TAKES)
def test_an_option_takes_its_own_kinds_of_values_and_no_others(queue: PyQueue, option: str) -> None:
    accepted = 0
    for kind, value in KINDS.items():
        given: Any = {option: value}
        if kind in TAKES[option]:
            queue.push("q", "right", **given)
            accepted += 1
        else:
            message = refused(lambda given=given: queue.push("q", "wrong", **given))  # type: ignore[misc]
            assert "unique_key" in message or option in message, kind

    assert queue.stats("q").total == accepted


@pytest.mark.parametrize("option", TAKES)
def test_push_many_and_the_twins_refuse_what_push_refuses(queue: PyQueue, option: str) -> None:
    wrong = [{option: value} for kind, value in KINDS.items() if kind not in TAKES[option]]

    async def refuse_all() -> None:
        for each in wrong:
            given: Any = each
            with pytest.raises(ValidationError):
                await queue.apush("q", "wrong", **given)
            with pytest.raises(ValidationError):
                await queue.apush_many("q", [{"name": "right"}, {"name": "wrong", **given}])

    for each in wrong:
        refused(lambda each=each: queue.push_many("q", [{"name": "right"}, {"name": "wrong", **each}]))  # type: ignore[misc]
    asyncio.run(refuse_all())

    assert queue.queues() == []


@pytest.mark.parametrize("push", ["push", "push_many", "apush", "apush_many"])
def test_an_unknown_option_names_all_the_known_ones(queue: PyQueue, push: str) -> None:
    given: Any = {"retries": 3}

    async def call() -> object:
        match push:
            case "push":
                return queue.push("q", "n", **given)
            case "push_many":
                return queue.push_many("q", [{"name": "n", **given}])
            case "apush":
                return await queue.apush("q", "n", **given)
            case _:
                return await queue.apush_many("q", [{"name": "n", **given}])

    message = refused(lambda: asyncio.run(call()))

    assert "unknown job option 'retries'" in message
    assert all(option in message for option in JobOptions.__annotations__)


WRONG_CALLS: dict[str, Callable[[Any, Any], object]] = {
    "push_many nothing": lambda queue, _: queue.push_many("q", None),
    "push_many a text": lambda queue, _: queue.push_many("q", "jobs"),
    "push_many one mapping": lambda queue, _: queue.push_many("q", {"name": "n"}),
    "push_many of integers": lambda queue, _: queue.push_many("q", [7]),
    "push_many without a name": lambda queue, _: queue.push_many("q", [{"data": 1}]),
    "pull nothing": lambda queue, _: queue.pull(None),
    "pull a number": lambda queue, _: queue.pull(7),
    "pull of numbers": lambda queue, _: queue.pull([7]),
    "pull text count": lambda queue, _: queue.pull("q", count="1"),
    "pull float wait": lambda queue, _: queue.pull("q", wait_ms=0.5),
    "pull text lease": lambda queue, _: queue.pull("q", lease_ms="30s"),
    "pull number as worker": lambda queue, _: queue.pull("q", worker_id=7),
    "ack nothing": lambda queue, _: queue.ack(None),
    "ack text lease": lambda queue, job: queue.ack(job.id, lease="1"),
    "ack list lease": lambda queue, job: queue.ack(job.id, lease=[1]),
    "ack true lease": lambda queue, job: queue.ack(job.id, lease=True),
    "ack no JSON": lambda queue, job: queue.ack(job, object()),
    "ack_many nothing": lambda queue, _: queue.ack_many(None),
    "ack_many one id": lambda queue, job: queue.ack_many(job.id),
    "ack_many one job": lambda queue, job: queue.ack_many(job),
    "ack_many of numbers": lambda queue, _: queue.ack_many([7]),
    "ack_many of fours": lambda queue, job: queue.ack_many([(job, 1, 2, 3)]),
    "ack_many no JSON": lambda queue, job: queue.ack_many([(job, object())]),
    "fail nothing": lambda queue, job: queue.fail(job, None),
    "fail number as retry": lambda queue, job: queue.fail(job, "x", retry=1),
    "fail negative delay": lambda queue, job: queue.fail(job, "x", delay_ms=-1),
    "fail surrogate": lambda queue, job: queue.fail(job, "\ud800"),
    "release negative delay": lambda queue, job: queue.release(job, delay_ms=-1),
    "heartbeat text lease": lambda queue, job: queue.heartbeat(job, lease_ms="1"),
    "heartbeat_many one id": lambda queue, job: queue.heartbeat_many(job.id),
    "progress float": lambda queue, job: queue.progress(job, 0.5),
    "progress negative": lambda queue, job: queue.progress(job, -1),
    "progress message number": lambda queue, job: queue.progress(job, 1, 7),
    "get_job number": lambda queue, _: queue.get_job(7),
    "get_job nonsense": lambda queue, _: queue.get_job("nonsense"),
    "list_jobs state": lambda queue, _: queue.list_jobs(state="done"),
    "list_jobs tag": lambda queue, _: queue.list_jobs(tag=7),
    "list_jobs flow": lambda queue, _: queue.list_jobs(flow_id=["f"]),
    "list_jobs custom_id": lambda queue, _: queue.list_jobs(custom_id=""),
    "list_jobs surrogate": lambda queue, _: queue.list_jobs(tag="\ud800"),
    "list_jobs queue": lambda queue, _: queue.list_jobs(queue="a b"),
    "list_jobs naive": lambda queue, _: queue.list_jobs(created_after=datetime(2030, 1, 1)),
    "list_jobs text moment": lambda queue, _: queue.list_jobs(created_before="today"),
    "list_jobs text limit": lambda queue, _: queue.list_jobs(limit="9"),
    "list_jobs cursor": lambda queue, _: queue.list_jobs(cursor="next"),
    "retry_many one id": lambda queue, job: queue.retry_many(job.id),
    "retry_many nothing": lambda queue, _: queue.retry_many(None),
    "purge state": lambda queue, _: queue.purge("q", state="active"),
    "pause nothing": lambda queue, _: queue.pause("q", pushes=False),
    "pause number": lambda queue, _: queue.pause("q", pulls=1),
    "stats name": lambda queue, _: queue.stats("a b"),
    "wait_for text": lambda queue, job: queue.wait_for(job, timeout="1"),
    "wait_for nan": lambda queue, job: queue.wait_for(job, timeout=float("nan")),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_is_refused_and_changes_nothing(queue: PyQueue, case: str) -> None:
    job_id = queue.push("q", "n")
    [job] = queue.pull("q")
    before = queue.get_job(job_id)

    message = refused(lambda: WRONG_CALLS[case](queue, job))

    assert len(message) < 600
    assert as_stored(queue.get_job(job_id)) == as_stored(before)
    assert queue.stats("q").total == 1


def as_stored(job: Job) -> list[object]:
    return [getattr(job, field) for field in Job.__struct_fields__]


def test_a_long_value_is_cut_in_the_message(queue: PyQueue) -> None:
    for value in ("x" * 100_000, ["y" * 100_000], {"z" * 100_000: 1}):
        wrong: Any = {"priority": value}
        assert len(refused(lambda wrong=wrong: queue.push("q", "n", **wrong))) < 300  # type: ignore[misc]


def test_each_error_has_a_code_of_its_own_and_its_place_in_the_tree() -> None:
    def below(kind: type[PyQueueError]) -> list[type[PyQueueError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in below(child))]

    kinds = below(PyQueueError)

    named = [kind for kind in kinds if not kind.__subclasses__()]
    assert len({kind.code for kind in named}) == len(named) > 12
    assert all(kind.code == kind.code.upper() for kind in kinds)
    assert issubclass(ValidationError, ValueError)


@pytest.mark.parametrize("text", ["dbname=shop", "host=db password=hush dbname=shop", " user = app"])
def test_a_string_of_libpq_makes_no_file_of_that_name(text: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://") as caught:
        PyQueue(text)

    assert "hush" not in str(caught.value)
    assert PyQueue("./dbname=shop").path.endswith("/dbname=shop"), "constructing opens nothing"
