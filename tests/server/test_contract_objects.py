"""The wire format over REST, row by row: objects, options, limits and errors (sections 2 to 5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.process import Client

JSON = {"Content-Type": "application/json"}
UNKNOWN = "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"
JOB_KEYS = {
    "id", "custom_id", "name", "queue", "data", "result", "state", "progress", "logs", "priority", "delay_until",
    "created_at", "updated_at", "started_at", "completed_at", "max_attempts", "attempt", "backoff",
    "backoff_delay_ms", "last_error", "ttl_ms", "timeout_ms", "unique_key", "tags", "group_id",
    "depends_on", "flow_id", "lifo", "remove_on_complete", "remove_on_fail", "worker_id", "last_heartbeat",
}  # fmt: skip


# --- 2: objects ----------------------------------------------------------------------------------


def test_2_1_a_job_has_every_key_and_the_defaults(client: Client, q: str) -> None:
    job = client.get(f"/jobs/{client.push(q, 'send', {'to': 'a'})}").json["job"]

    assert set(job) == JOB_KEYS
    defaults: dict[str, Any] = {
        "name": "send", "queue": q, "data": {"to": "a"}, "result": None, "state": "waiting", "logs": [], "priority": 0,
        "max_attempts": 3, "attempt": 0, "backoff": "exponential", "backoff_delay_ms": 1000, "tags": [],
        "depends_on": [], "lifo": False, "remove_on_complete": False, "remove_on_fail": False, "custom_id": None,
    }  # fmt: skip
    assert {key: job[key] for key in defaults} == defaults
    assert job["created_at"].endswith("Z")


def test_2_1_metadata_is_there_when_set(client: Client, q: str) -> None:
    job_id = client.push(q, metadata={"engine": "x"})

    assert client.get(f"/jobs/{job_id}").json["job"]["metadata"] == {"engine": "x"}


def test_2_2_counts_of_an_unknown_queue_are_zero(client: Client, q: str) -> None:
    answer = client.get(f"/queues/{q}/stats")

    assert answer.status == 200
    wire = {"waiting", "active", "delayed", "completed", "failed", "dlq", "blocked"}
    assert {key: answer.json["counts"][key] for key in wire} == dict.fromkeys(wire, 0)


def test_2_3_a_queue_exists_while_a_job_carries_its_name(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.post(f"/jobs/{job_id}/cancel")

    names = [queue["name"] for queue in client.get("/queues").json["queues"]]

    assert q in names
    assert names == sorted(names)


def test_2_7_health(client: Client) -> None:
    health = client.get("/health").json

    assert set(health) == {"ok", "status", "version", "uptime_seconds"}
    assert (health["ok"], health["status"], type(health["uptime_seconds"])) == (True, "healthy", int)


# --- 3: options ------------------------------------------------------------------------------------

OPTIONS: dict[str, Any] = {
    "priority": 7, "max_attempts": 9, "backoff": "fixed", "backoff_delay_ms": 12, "ttl_ms": 99_000, "timeout_ms": 5,
    "unique_key": "k", "tags": ["a", "b"], "group_id": "g", "remove_on_complete": True,
    "remove_on_fail": True, "custom_id": "c", "metadata": {"x": 1}, "flow_id": "f",
}  # fmt: skip


@pytest.mark.parametrize("form", ["flattened", "nested"])
def test_3_r5_options_are_taken_in_both_forms(client: Client, q: str, form: str) -> None:
    options = OPTIONS if form == "flattened" else {"options": OPTIONS}

    job = client.get(f"/jobs/{client.push(q, **options)}").json["job"]

    assert {key: job[key] for key in OPTIONS} == OPTIONS


@pytest.mark.parametrize("form", ["flattened", "nested"])
def test_3_r5_every_element_of_a_batch_takes_options(client: Client, q: str, form: str) -> None:
    options = OPTIONS if form == "flattened" else {"options": OPTIONS}

    [job_id] = client.post(f"/queues/{q}/jobs", [{"name": "n", "data": 1, **options}]).json["ids"]

    job = client.get(f"/jobs/{job_id}").json["job"]
    assert {key: job[key] for key in OPTIONS} == OPTIONS


def test_3_the_flattened_form_wins_on_rest(client: Client, q: str) -> None:
    job_id = client.push(q, priority=1, options={"priority": 2, "max_attempts": 5})

    job = client.get(f"/jobs/{job_id}").json["job"]

    assert (job["priority"], job["max_attempts"]) == (1, 5)


@pytest.mark.parametrize("option", sorted(OPTIONS.keys() - {"metadata"}))
def test_3_r5_a_wrong_type_is_refused_and_nothing_is_pushed(client: Client, q: str, option: str) -> None:
    wrong: Any = "not so" if not isinstance(OPTIONS[option], str) else 5

    for options in ({option: wrong}, {"options": {option: wrong}}):
        answer = client.post(f"/queues/{q}/jobs", {"name": "n", "data": 1, **options})
        assert (answer.status, answer.code) in ((422, "VALIDATION_ERROR"), (400, "VALIDATION_ERROR"))
        assert option in answer.message

    assert client.get(f"/queues/{q}/stats").json["counts"]["waiting"] == 0


def test_3_null_means_absent_and_unknown_keys_are_ignored(client: Client, q: str) -> None:
    job_id = client.push(q, priority=None, depends_on=[], metadata=None, surprise=1, options={"lifo": None, "x": 2})

    job = client.get(f"/jobs/{job_id}").json["job"]

    assert (job["priority"], job["state"], "metadata" in job) == (0, "waiting", False)


# --- 4: limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "body", "word"),
    [
        ("a%20b", {"name": "n", "data": 1}, "alphanumeric"),
        ("x" * 257, {"name": "n", "data": 1}, "exceeds maximum"),
        ("q", {"name": "", "data": 1}, "non-empty"),
        ("q", {"name": "a b", "data": 1}, "alphanumeric"),
        ("q", {"name": "n", "data": "x" * 1_048_577}, "payload"),
        ("q", {"name": "n", "data": 1, "metadata": "x" * 65_537}, "metadata"),
        ("q", {"name": "n", "data": 1, "unique_key": "x" * 1_025}, "Unique key"),
        ("q", {"name": "n", "data": 1, "depends_on": [UNKNOWN]}, UNKNOWN),
    ],
)
def test_4_what_does_not_fit_is_a_validation_error(client: Client, queue: str, body: Any, word: str) -> None:
    answer = client.post(f"/queues/{queue}/jobs", body)

    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert word in answer.message


def test_4_a_too_long_error_leaves_the_job_active(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    answer = client.post(f"/jobs/{job_id}/fail", {"error": "x" * 10_241})

    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert "Error message" in answer.message
    assert client.get(f"/jobs/{job_id}").json["job"]["state"] == "active"


def test_4_data_and_body_at_their_limits_are_taken(client: Client, q: str) -> None:
    assert client.push(q, data="x" * 1_048_574)

    answer = client.send("POST", f"/queues/{q}/jobs", b" " * 2_097_153, JSON)

    assert (answer.status, answer.code) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("path", ["/jobs", "/stats", "/dlq", "/jobs?count=3"])
def test_4_looking_at_a_queue_takes_any_segment(client: Client, path: str) -> None:
    assert client.get(f"/queues/a%20b%2Fc{path}").status == 200


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_4_pause_and_resume_take_any_segment(client: Client, action: str) -> None:
    assert client.post(f"/queues/a%20b/{action}").json == {"ok": True}


# --- 5: errors -------------------------------------------------------------------------------------


def test_5_the_envelope_has_exactly_its_keys(client: Client) -> None:
    answer = client.get(f"/jobs/{UNKNOWN}")

    assert answer.status == 404
    assert set(answer.json) == {"ok", "error"}
    assert set(answer.json["error"]) == {"code", "message", "details"}
    assert (answer.json["ok"], answer.json["error"]["details"], answer.code) == (False, None, "JOB_NOT_FOUND")
    assert UNKNOWN in answer.message


@pytest.mark.parametrize("action", ["ack", "fail", "cancel", "progress", "heartbeat"])
def test_5_an_unknown_job_is_not_found_by_any_action(client: Client, action: str) -> None:
    body = {"fail": {"error": "x"}, "progress": {"progress": 1}}.get(action)

    answer = client.post(f"/jobs/{UNKNOWN}/{action}", body)

    assert (answer.status, answer.code) == (404, "JOB_NOT_FOUND")


@pytest.mark.parametrize("action", ["ack", "fail", "progress", "heartbeat"])
def test_5_work_on_a_job_that_is_not_active_is_an_invalid_state(client: Client, q: str, action: str) -> None:
    body = {"fail": {"error": "x"}, "progress": {"progress": 1}}.get(action)

    answer = client.post(f"/jobs/{client.push(q)}/{action}", body)

    assert (answer.status, answer.code) == (409, "INVALID_STATE")
    assert "Waiting" in answer.message
    assert "Active" in answer.message


@pytest.mark.parametrize("state", ["Active", "Completed"])
def test_5_cancel_of_a_job_that_has_started_is_an_invalid_state(client: Client, q: str, state: str) -> None:
    job_id = client.push(q)
    client.pull(q)
    if state == "Completed":
        client.post(f"/jobs/{job_id}/ack")

    answer = client.post(f"/jobs/{job_id}/cancel")

    assert (answer.status, answer.code) == (409, "INVALID_STATE")
    assert state in answer.message
    assert "Waiting, Delayed, or Blocked" in answer.message


def test_5_7_4_a_held_unique_key_is_a_duplicate(client: Client, q: str) -> None:
    client.push(q, unique_key="k")

    single = client.post(f"/queues/{q}/jobs", {"name": "n", "data": 1, "unique_key": "k"})
    twice = client.post(f"/queues/{q}/jobs", [{"name": "n", "data": 1, "unique_key": "z"}] * 2)

    assert (single.status, single.code) == (twice.status, twice.code) == (409, "DUPLICATE_KEY")
    assert client.get(f"/queues/{q}/stats").json["counts"]["waiting"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", "/queues/q/jobs", b"{", JSON, 400, "VALIDATION_ERROR"),
        ("POST", "/queues/q/jobs", b'{"name":"n","data":1}', {}, 415, "VALIDATION_ERROR"),
        ("POST", "/queues/q/jobs", b'{"name":"n","data":1}', {"Content-Type": "text/plain"}, 415, "VALIDATION_ERROR"),
        ("POST", "/queues/q/jobs", b'{"data":1}', JSON, 422, "VALIDATION_ERROR"),
        ("POST", "/queues/q/jobs", b'{"name":"n"}', JSON, 422, "VALIDATION_ERROR"),
        ("POST", "/queues/q/jobs", b'"n"', JSON, 422, "VALIDATION_ERROR"),
        ("POST", "/queues/q/jobs", b"", JSON, 400, "VALIDATION_ERROR"),
        ("GET", "/jobs/not-an-id", None, {}, 400, "VALIDATION_ERROR"),
        ("GET", "/queues/q/jobs?count=-1", None, {}, 400, "VALIDATION_ERROR"),
        ("GET", "/queues/q/jobs?count=x", None, {}, 400, "VALIDATION_ERROR"),
        ("GET", "/nowhere", None, {}, 404, "NOT_FOUND"),
        ("GET", "/queues/q", None, {}, 404, "NOT_FOUND"),
        ("PUT", "/queues/q/jobs", None, {}, 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/queues", None, {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", None, {}, 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_5_r4_every_error_has_the_envelope(
    client: Client, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.send(method, path, body, headers)

    assert (answer.status, answer.code) == (status, code)
    assert answer.json["ok"] is False
    assert answer.headers["content-type"] == "application/json"


def test_5_r4_paths_outside_the_api_have_the_envelope_too(client: Client) -> None:
    assert client.send("GET", "/wp-login.php", base="").code == "NOT_FOUND"
