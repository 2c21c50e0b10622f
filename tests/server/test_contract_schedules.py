"""The wire format over REST: schedules (section 8), and our routes on flows, limits and workers."""

from __future__ import annotations

from typing import Any

import pytest

from pyqueue import JobOptions
from pyqueue.web import bodies, replies
from tests.server.process import Client
from tests.waiting import eventually

KEYS = {
    "name", "queue", "job_name", "job_data", "job_options", "cron_expr", "every_ms", "timezone", "max_executions",
    "execution_count", "paused", "last_run_at", "next_run_at", "created_at", "updated_at",
}  # fmt: skip


def body(q: str, **more: Any) -> dict[str, Any]:
    return {"name": q, "queue": q, "job_name": "tick", **more}


def test_8_create_gives_the_schedule_with_every_key(client: Client, q: str) -> None:
    options = {"priority": 3, "tags": ["x"]}

    answer = client.post("/schedules", body(q, every_ms=3_600_000, job_data={"a": 1}, job_options=options))

    schedule = answer.json["schedule"]
    assert answer.status == 201
    assert set(schedule) >= KEYS
    assert set(schedule) == set(replies.Schedule.__struct_fields__)
    assert (schedule["job_data"], schedule["job_options"]["priority"]) == ({"a": 1}, 3)
    assert schedule["job_options"]["unique_key"] is None
    assert "metadata" not in schedule["job_options"]


def test_8_job_data_left_out_is_null(client: Client, q: str) -> None:
    assert client.post("/schedules", body(q, every_ms=3_600_000)).json["schedule"]["job_data"] is None


@pytest.mark.parametrize("timing", [{"every_ms": 3_600_000}, {"cron_expr": "0 0 1 1 *"}])
def test_8_b18_a_new_schedule_fires_at_once_unless_told_otherwise(
    client: Client, q: str, timing: dict[str, Any]
) -> None:
    client.post("/schedules", body(q, **timing))
    client.post("/schedules", body(q + "-later", **timing, fires_at_once=False))

    job = eventually(lambda: client.pull(q)["job"], what="the first firing")

    assert (job["name"], job["queue"]) == ("tick", q)
    schedule = client.get(f"/schedules/{q}").json["schedule"]
    assert (schedule["execution_count"], schedule["last_run_at"] is None) == (1, False)
    assert client.get(f"/schedules/{q}-later").json["schedule"]["execution_count"] == 0


@pytest.mark.parametrize(
    ("timing", "word"),
    [
        ({}, "cron_expr or every_ms"),
        ({"cron_expr": "* * * * *", "every_ms": 1_000}, ""),
        ({"cron_expr": "never"}, "Invalid cron"),
        ({"cron_expr": "61 * * * *"}, "Invalid cron"),
    ],
)
def test_8_a_timing_that_cannot_be_is_refused(client: Client, q: str, timing: dict[str, Any], word: str) -> None:
    answer = client.post("/schedules", body(q, **timing))

    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert word in answer.message


def test_8_options_of_a_wrong_type_are_refused(client: Client, q: str) -> None:
    answer = client.post("/schedules", body(q, every_ms=1_000, job_options={"priority": "high"}))

    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")
    assert "priority" in answer.message


def test_6_schedules_are_listed_read_paused_resumed_and_deleted(client: Client, q: str) -> None:
    name = f"{q}/every hour"
    path = f"/schedules/{q}%2Fevery%20hour"
    client.post("/schedules", body(q, every_ms=3_600_000) | {"name": name})

    assert client.get(path).json["schedule"]["name"] == name
    assert name in [each["name"] for each in client.get("/schedules").json["schedules"]]
    assert client.post(f"{path}/pause").json == {"ok": True}
    assert client.get(path).json["schedule"]["paused"] is True
    assert client.post(f"{path}/resume").json == {"ok": True}
    assert client.get(path).json["schedule"]["paused"] is False
    assert client.delete(path).json == {"ok": True}
    assert client.get(path).code == "SCHEDULE_NOT_FOUND"


def test_6_r12_an_unknown_schedule(client: Client) -> None:
    for answer in (
        client.get("/schedules/none"), client.post("/schedules/none/pause"), client.post("/schedules/none/resume"),
    ):  # fmt: skip
        assert (answer.status, answer.code) == (404, "SCHEDULE_NOT_FOUND")
    assert client.delete("/schedules/none").json == {"ok": True}


def test_a_schedule_is_edited_and_triggered(client: Client, q: str) -> None:
    client.post("/schedules", body(q, every_ms=3_600_000, max_executions=5, fires_at_once=False))

    edited = client.send(
        "PATCH", f"/schedules/{q}", b'{"job_name":"tock","max_executions":null}', {"Content-Type": "application/json"}
    ).json["schedule"]
    job_id = client.post(f"/schedules/{q}/trigger").json["id"]

    assert (edited["job_name"], edited["max_executions"], edited["every_ms"]) == ("tock", None, 3_600_000)
    assert client.pull(q)["job"]["id"] == job_id
    [run] = client.get(f"/schedules/{q}/runs").json["runs"]
    assert (run["job_id"], run["is_manual"]) == (job_id, True)


def test_a_flow_is_cancelled_retried_and_deleted(client: Client, q: str) -> None:
    parent = client.push(q, flow_id=q)
    client.push(q, flow_id=q, depends_on=[parent])

    counts = [client.post(f"/flows/{q}/{action}").json["jobs"] for action in ("cancel", "retry", "cancel")]
    counts.append(client.delete(f"/flows/{q}").json["jobs"])

    assert all(counts)
    assert client.get(f"/flows/{q}").json["jobs"] == []


def test_6_2_a_push_limit_refuses_what_is_beyond_it(client: Client, q: str) -> None:
    put = {"Content-Type": "application/json"}
    assert client.send("PUT", f"/queues/{q}/push-limit", b'{"rate":0.01,"burst":2}', put).status == 200

    batch = client.post(f"/queues/{q}/jobs", [{"name": "n", "data": 1}] * 3)
    client.push(q)
    client.push(q)
    third = client.post(f"/queues/{q}/jobs", {"name": "n", "data": 1})

    assert (batch.status, batch.code) == (third.status, third.code) == (429, "RATE_LIMITED")
    [limit] = client.get(f"/queues/{q}/limits").json["limits"]
    assert (limit["limits_pushes"], limit["burst"]) == (True, 2)
    assert client.delete(f"/queues/{q}/push-limit").status == 200
    assert client.push(q)


def test_limits_and_breakers_are_set_and_taken_away(client: Client, q: str) -> None:
    put = {"Content-Type": "application/json"}
    client.send("PUT", f"/queues/{q}/limits", b'{"concurrency":1}', put)
    client.send("PUT", f"/queues/{q}/breaker", b'{"failures":3}', put)
    client.push(q)
    client.push(q)

    assert len(client.pull(q, "?count=2")["jobs"]) == 1
    [queue] = [each for each in client.get("/queues").json["queues"] if each["name"] == q]
    assert (queue["limits"][0]["concurrency"], queue["breaker"]["failures_max"]) == (1, 3)
    assert set(queue["breaker"]) == set(replies.Breaker.__struct_fields__)
    client.delete(f"/queues/{q}/limits")
    client.delete(f"/queues/{q}/breaker")
    assert len(client.pull(q, "?count=2")["jobs"]) == 1


def test_workers_are_listed(client: Client) -> None:
    assert client.get("/workers").json == {"ok": True, "workers": []}


def test_every_job_option_may_be_sent() -> None:
    assert set(bodies.Options.__struct_fields__) == set(JobOptions.__annotations__)
