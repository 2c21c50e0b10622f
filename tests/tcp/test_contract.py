"""The TCP contract, row by row: jobs, options, limits, errors, engine. Names carry the section or ruling they prove."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.tcp.clients import Client, code

JOB_KEYS = {
    "id", "custom_id", "name", "queue", "data", "result", "state", "progress", "logs", "priority", "delay_until",
    "created_at", "updated_at", "started_at", "completed_at", "max_attempts", "attempt", "backoff",
    "backoff_delay_ms", "last_error", "ttl_ms", "timeout_ms", "unique_key", "tags", "group_id",
    "depends_on", "flow_id", "lifo", "remove_on_complete", "remove_on_fail", "worker_id", "last_heartbeat",
}  # fmt: skip
OPTIONS: dict[str, Any] = {
    "priority": 5,
    "max_attempts": 7,
    "backoff": "linear",
    "backoff_delay_ms": 50,
    "ttl_ms": 60_000,
    "timeout_ms": 50_000,
    "unique_key": "k",
    "tags": ["a", "b"],
    "group_id": "g",
    "remove_on_complete": True,
    "remove_on_fail": True,
    "custom_id": "mine",
    "metadata": {"deep": [1, None]},
    "flow_id": "f",
}
UNKNOWN = "6f6fcd69-b282-4166-b316-fba8a4139a52"


# --- §2: objects ---------------------------------------------------------------------------------


def test_s2_1_a_job_has_every_key_and_metadata_only_when_set(client: Client, q: str) -> None:
    client.push(q, data={"a": 1})

    job = client.pull(q)

    assert set(job) - {"lease", "lease_until"} == JOB_KEYS
    assert job["data"] == {"a": 1} and job["state"] == "active" and job["priority"] == 0
    assert (job["max_attempts"], job["attempt"], job["backoff"], job["backoff_delay_ms"]) == (
        3,
        0,
        "exponential",
        1_000,
    )


def test_s2_1_metadata_is_there_when_set(client: Client, q: str) -> None:
    assert client.get(client.push(q, metadata={"a": 1}))["metadata"] == {"a": 1}


def test_s2_2_an_unknown_queue_has_zero_counts(client: Client) -> None:
    counts = client.call("stats", queue="never-seen")["counts"]

    assert set(counts) >= {"waiting", "active", "delayed", "completed", "failed", "dlq", "blocked"}
    assert set(counts.values()) == {0}


def test_s1_times_are_rfc_3339_with_z(client: Client, q: str) -> None:
    job = client.get(client.push(q, delay_ms=60_000))

    for key in ("created_at", "updated_at", "delay_until"):
        assert job[key].endswith("Z") and datetime.fromisoformat(job[key]).utcoffset() == timedelta(0)


@pytest.mark.parametrize("form", [str.upper, lambda text: text.replace("-", ""), "{{{}}}".format, "urn:uuid:{}".format])
def test_s1_ids_are_read_leniently(client: Client, q: str, form: Any) -> None:
    job_id = client.push(q)

    assert client.get(form(job_id))["id"] == job_id == str(uuid.UUID(job_id)) and uuid.UUID(job_id).version == 7


# --- §3 and R5: options, flattened and nested ------------------------------------------------------


@pytest.mark.parametrize("nested", [False, True], ids=["flattened", "nested"])
@pytest.mark.parametrize("cmd", ["push", "push_batch"])
def test_s3_r5_every_option_is_honoured_in_both_places(client: Client, q: str, cmd: str, nested: bool) -> None:
    job = {"name": "n", "data": 1} | ({"options": OPTIONS} if nested else OPTIONS)

    if cmd == "push":
        job_id = client.call("push", queue=q, **job)["id"]
    else:
        [job_id] = client.call("push_batch", queue=q, jobs=[job])["ids"]

    stored = client.get(job_id)
    assert {key: stored[key] for key in OPTIONS} == OPTIONS


def test_s3_the_nested_option_wins_on_tcp(client: Client, q: str) -> None:
    job_id = client.push(q, priority=1, max_attempts=2, options={"priority": 9, "max_attempts": None})

    job = client.get(job_id)
    assert (job["priority"], job["max_attempts"]) == (9, 2)


@pytest.mark.parametrize("option", ["delay_ms", "lifo", "depends_on"])
def test_s3_the_options_that_move_a_job(client: Client, q: str, option: str) -> None:
    parent = client.push(q + "-parent")
    value: Any = {"delay_ms": 60_000, "lifo": True, "depends_on": [parent]}[option]

    job = client.get(client.push(q, **{option: value}))

    state = {"delay_ms": "delayed", "lifo": "waiting", "depends_on": "blocked"}[option]
    assert job["state"] == state and (option == "delay_ms" or job[option] == value)


@pytest.mark.parametrize("options", [{"tags": None, "priority": None}, {"depends_on": []}, {"unheard_of": 1}])
def test_s3_null_is_absent_and_unknown_keys_are_ignored(client: Client, q: str, options: dict[str, Any]) -> None:
    assert client.get(client.push(q, **options))["state"] == "waiting"
    assert client.get(client.push(q, options=options))["state"] == "waiting"


@pytest.mark.parametrize(
    "bad",
    [{"priority": "high"}, {"delay_ms": -1}, {"backoff": "never"}, {"tags": "a"}, {"lifo": 1}, {"max_attempts": 1.5}],
)
@pytest.mark.parametrize("nested", [False, True], ids=["flattened", "nested"])
def test_r5_a_bad_option_is_refused_and_nothing_is_pushed(client: Client, q: str, bad: Any, nested: bool) -> None:
    job = {"name": "n"} | ({"options": bad} if nested else bad)

    assert code(client.call("push", queue=q, **job)) == "VALIDATION_ERROR"
    assert code(client.call("push_batch", queue=q, jobs=[{"name": "good"}, job])) == "VALIDATION_ERROR"
    assert client.call("stats", queue=q)["counts"]["waiting"] == 0


# --- §4: limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ({"queue": "", "name": "n"}, "non-empty"),
        ({"queue": "a b", "name": "n"}, "alphanumeric"),
        ({"queue": "q" * 257, "name": "n"}, "exceeds maximum"),
        ({"queue": "q", "name": "a/b"}, "alphanumeric"),
        ({"queue": "q", "name": "n" * 1_025}, "exceeds maximum"),
        ({"queue": "q", "name": "n", "data": "x" * 1_048_576}, "payload"),
        ({"queue": "q", "name": "n", "metadata": "x" * 65_536}, "metadata"),
        ({"queue": "q", "name": "n", "unique_key": "x" * 1_025}, "Unique key"),
        ({"queue": "q", "name": "n", "depends_on": [UNKNOWN]}, UNKNOWN),
    ],
)
def test_s4_what_is_too_long_or_misspelt_is_refused(client: Client, command: dict[str, Any], word: str) -> None:
    reply = client.call("push", **command)

    assert code(reply) == "VALIDATION_ERROR" and word in reply["error"]["message"]


def test_s4_a_payload_of_exactly_one_mebibyte_is_taken(client: Client, q: str) -> None:
    client.push(q, data="x" * 1_048_574)

    assert len(client.pull(q)["data"]) == 1_048_574


def test_s4_a_too_long_error_leaves_the_job_active(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    reply = client.call("fail", id=job_id, error="x" * 10_241)

    assert code(reply) == "VALIDATION_ERROR" and "Error message" in reply["error"]["message"]
    assert client.get(job_id)["state"] == "active"


def test_s4_only_a_push_checks_the_name_of_its_queue(client: Client) -> None:
    assert client.call("pull", queue="no such/queue") == {"ok": True, "job": None}
    assert client.call("stats", queue="no such/queue")["ok"]


def test_s4_a_batch_is_refused_as_a_whole(client: Client, q: str) -> None:
    jobs = [{"name": "n", "unique_key": "a"}, {"name": "n", "unique_key": "a"}]

    assert code(client.call("push_batch", queue=q, jobs=jobs)) == "DUPLICATE_KEY"
    assert client.call("stats", queue=q)["counts"]["waiting"] == 0


@pytest.mark.parametrize(
    ("count", "form"), [(None, "job"), (1, "job"), (0, "jobs"), (2, "jobs"), (4_294_967_295, "jobs")]
)
def test_r9_count_is_clamped_and_chooses_the_form(client: Client, q: str, count: int | None, form: str) -> None:
    fields = {} if count is None else {"count": count}

    assert client.call("pull", queue=q, **fields) == {"ok": True, form: None if form == "job" else []}


@pytest.mark.parametrize("count", [-1, "two", 1.5, True])
def test_r9_a_count_that_is_no_number_is_refused(client: Client, q: str, count: Any) -> None:
    assert code(client.call("pull", queue=q, count=count)) == "VALIDATION_ERROR"


@pytest.mark.parametrize(("given", "stored"), [(0, 0), (40, 40), (100, 100), (101, 100), (300, 100)])
def test_r10_progress_is_clamped_never_wrapped(client: Client, q: str, given: int, stored: int) -> None:
    job_id = client.push(q)
    client.pull(q)

    assert client.call("progress", id=job_id, progress=given, message="at work") == {"ok": True}

    job = client.get(job_id)
    assert job["progress"] == stored and [log["message"] for log in job["logs"]] == ["at work"]


@pytest.mark.parametrize("progress", [-1, "half", 0.5])
def test_r10_progress_that_is_no_number_is_refused(client: Client, q: str, progress: Any) -> None:
    job_id = client.push(q)
    client.pull(q)

    assert code(client.call("progress", id=job_id, progress=progress)) == "VALIDATION_ERROR"


# --- §5: errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cmd", ["ack", "fail", "cancel", "progress", "heartbeat", "release"])
def test_s5_an_unknown_job_is_not_found_by_its_id(client: Client, cmd: str) -> None:
    reply = client.call(cmd, id=UNKNOWN, progress=1)

    assert code(reply) == "JOB_NOT_FOUND" and UNKNOWN in reply["error"]["message"]


@pytest.mark.parametrize("cmd", ["ack", "fail", "progress", "heartbeat", "release"])
def test_s5_a_job_that_is_not_active_is_an_invalid_state(client: Client, q: str, cmd: str) -> None:
    job_id = client.push(q)

    reply = client.call(cmd, id=job_id, progress=1)

    assert code(reply) == "INVALID_STATE"
    assert "Waiting" in reply["error"]["message"] and "Active" in reply["error"]["message"]


@pytest.mark.parametrize("end", ["active", "completed"])
def test_s5_cancel_of_what_has_begun_is_an_invalid_state(client: Client, q: str, end: str) -> None:
    job_id = client.push(q)
    client.pull(q)
    if end == "completed":
        client.call("ack", id=job_id)

    reply = client.call("cancel", id=job_id)

    assert code(reply) == "INVALID_STATE" and end.capitalize() in reply["error"]["message"]
    assert "Waiting, Delayed, or Blocked" in reply["error"]["message"]


def test_s5_a_held_unique_key_is_a_duplicate(client: Client, q: str) -> None:
    client.push(q, unique_key="k")

    assert code(client.call("push", queue=q, name="n", unique_key="k")) == "DUPLICATE_KEY"


def test_s5_a_paused_queue_refuses_pushes_and_still_hands_out(client: Client, q: str) -> None:
    client.push(q)
    assert client.call("queue_pause", queue=q) == {"ok": True} == client.call("queue_pause", queue=q)

    assert code(client.call("push", queue=q, name="n")) == "QUEUE_PAUSED"
    assert code(client.call("push_batch", queue=q, jobs=[{"name": "n"}])) == "QUEUE_PAUSED"
    assert client.pull(q)["queue"] == q

    assert client.call("queue_resume", queue=q) == {"ok": True} == client.call("queue_resume", queue=q)
    assert client.push(q)


def test_s6_an_empty_batch_is_fine_even_when_paused(client: Client, q: str) -> None:
    client.call("queue_pause", queue=q)

    assert client.call("push_batch", queue=q, jobs=[]) == {"ok": True, "ids": []}


# --- §7: the life of a job --------------------------------------------------------------------------


def test_s7_1_pull_ack_and_the_second_ack(client: Client, q: str) -> None:
    job_id = client.push(q)
    assert client.pull(q)["started_at"]

    assert client.call("ack", id=job_id, result={"sent": [1, None]}) == {"ok": True}

    job = client.get(job_id)
    assert (job["state"], job["result"]) == ("completed", {"sent": [1, None]}) and job["completed_at"]
    assert code(client.call("ack", id=job_id)) == "INVALID_STATE"


def test_s7_1_failing_retries_then_ends_in_the_dead_letters(client: Client, q: str) -> None:
    job_id = client.push(q, max_attempts=2, backoff_delay_ms=0)
    client.pull(q)
    first = client.call("fail", id=job_id, error="once")
    client.pull(q)
    second = client.call("fail", id=job_id)

    job = client.get(job_id)
    assert (first["will_retry"], first["next_attempt_at"]) == (True, None)
    assert (second["will_retry"], second["next_attempt_at"]) == (False, None)
    assert (job["state"], job["attempt"], job["last_error"]) == ("dlq", 2, "unknown error")


def test_s7_3_backoff_says_when_the_next_attempt_is(client: Client, q: str) -> None:
    job_id = client.push(q, backoff="fixed", backoff_delay_ms=60_000)
    client.pull(q)

    reply = client.call("fail", id=job_id, error="e")

    assert reply["will_retry"] and datetime.fromisoformat(reply["next_attempt_at"]).utcoffset() == timedelta(0)
    assert client.get(job_id)["state"] == "delayed"


def test_s7_2_the_higher_priority_is_pulled_first_then_the_older(client: Client, q: str) -> None:
    low, high, low_too = client.push(q), client.push(q, priority=3), client.push(q)

    jobs = client.call("pull", queue=q, count=3)["jobs"]

    assert [job["id"] for job in jobs] == [high, low, low_too]


def test_s7_8_a_child_waits_for_its_parent(client: Client, q: str) -> None:
    parent = client.push(q)
    child = client.push(q + "-children", depends_on=[parent])
    assert client.pull(q + "-children") is None

    client.pull(q)
    client.call("ack", id=parent)

    assert client.pull(q + "-children")["id"] == child


@pytest.mark.parametrize("state", ["waiting", "delayed", "blocked"])
def test_s7_1_what_has_not_begun_can_be_cancelled(client: Client, q: str, state: str) -> None:
    parent = client.push(q + "-parent")
    options: Any = {"waiting": {}, "delayed": {"delay_ms": 60_000}, "blocked": {"depends_on": [parent]}}[state]
    job_id = client.push(q, **options)

    assert client.call("cancel", id=job_id) == {"ok": True}
    assert client.get(job_id)["state"] == "cancelled"


def test_s7_6_a_heartbeat_is_noted(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    reply = client.call("heartbeat", id=job_id)

    assert reply["ok"] and reply["cancel_requested"] is False
    assert client.get(job_id)["last_heartbeat"]
