"""The wire format over REST, row by row: the routes (section 6); r and b are rulings and improvements."""

from __future__ import annotations

import json

import pytest

from tests.server.process import Client

JSON = {"Content-Type": "application/json"}


# --- 6: REST ---------------------------------------------------------------------------------------


def test_6_push_one_and_many(client: Client, q: str) -> None:
    one = client.post(f"/queues/{q}/jobs", {"name": "n", "data": None})
    many = client.post(f"/queues/{q}/jobs", [{"name": f"n{i}", "data": i} for i in range(3)])
    array_of_one = client.post(f"/queues/{q}/jobs", [{"name": "n", "data": 1}])

    assert (one.status, set(one.json)) == (201, {"ok", "id"})
    assert (many.status, set(many.json), len(many.json["ids"])) == (201, {"ok", "ids"}, 3)
    assert len(array_of_one.json["ids"]) == 1
    names = [client.get(f"/jobs/{job_id}").json["job"]["name"] for job_id in many.json["ids"]]
    assert names == ["n0", "n1", "n2"]


def test_6_an_empty_array_is_no_error_even_when_paused(client: Client, q: str) -> None:
    client.post(f"/queues/{q}/pause")

    answer = client.post(f"/queues/{q}/jobs", [])

    assert (answer.status, answer.json) == (201, {"ok": True, "ids": []})


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"]
)
def test_6_json_may_be_declared_in_many_ways(client: Client, q: str, content_type: str) -> None:
    body = json.dumps({"name": "n", "data": "ü"}).encode()

    assert client.send("POST", f"/queues/{q}/jobs", body, {"Content-Type": content_type}).status == 201


def test_6_pull_of_an_empty_queue(client: Client, q: str) -> None:
    assert client.pull(q) == {"ok": True, "job": None}
    assert client.pull(q, "?count=1") == {"ok": True, "job": None}
    assert client.pull(q, "?count=2") == {"ok": True, "jobs": []}
    assert client.pull(q, "?count=0") == {"ok": True, "jobs": []}


def test_6_pull_has_the_single_form_for_one_and_the_list_for_more(client: Client, q: str) -> None:
    ids = [client.push(q) for _ in range(4)]

    assert client.pull(q)["job"]["id"] == ids[0]
    assert client.pull(q, "?count=1")["job"]["id"] == ids[1]
    assert [job["id"] for job in client.pull(q, "?count=9")["jobs"]] == ids[2:]


def test_6_r9_a_huge_count_is_clamped(client: Client, q: str) -> None:
    client.push(q)

    assert len(client.pull(q, "?count=4294967295")["jobs"]) == 1


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_6_r8_only_get_pulls(client: Client, q: str, method: str) -> None:
    job_id = client.push(q)

    client.send(method, f"/queues/{q}/jobs")

    assert client.get(f"/jobs/{job_id}").json["job"]["state"] == "waiting"


def test_6_r8_replies_to_pulls_are_never_stored(client: Client, q: str) -> None:
    assert client.get(f"/queues/{q}/jobs").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("headers", [{}, JSON, {"Content-Type": "text/plain"}])
@pytest.mark.parametrize("body", [None, b"", b"  \n"])
def test_6_r1_ack_needs_no_body(client: Client, q: str, headers: dict[str, str], body: bytes | None) -> None:
    job_id = client.push(q)
    client.pull(q)

    answer = client.send("POST", f"/jobs/{job_id}/ack", body, headers)

    assert (answer.status, answer.json) == (200, {"ok": True})


def test_6_ack_keeps_the_result(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    client.post(f"/jobs/{job_id}/ack", {"result": {"sent": [1, "ü"]}})

    job = client.get(f"/jobs/{job_id}").json["job"]
    assert (job["state"], job["result"], job["completed_at"] is None) == ("completed", {"sent": [1, "ü"]}, False)


@pytest.mark.parametrize("action", ["cancel", "heartbeat"])
@pytest.mark.parametrize("body", [None, b"{}", b""])
def test_6_r1_actions_without_a_body_take_any(client: Client, q: str, action: str, body: bytes | None) -> None:
    job_id = client.push(q)
    if action == "heartbeat":
        client.pull(q)

    assert client.send("POST", f"/jobs/{job_id}/{action}", body, JSON).json["ok"] is True


def test_6_fail_says_whether_and_when_it_is_tried_again(client: Client, q: str) -> None:
    job_id = client.push(q, max_attempts=3, backoff_delay_ms=60_000)
    client.pull(q)

    later = client.post(f"/jobs/{job_id}/fail", {"error": "no"}).json
    at_once = client.push(q, max_attempts=2, backoff_delay_ms=0)
    client.pull(q)
    again = client.post(f"/jobs/{at_once}/fail", {"error": "no"}).json
    client.pull(q)
    dead = client.post(f"/jobs/{at_once}/fail", {"error": "no"}).json

    assert (later["retry"], "next_attempt_at" in later) == (True, True)
    assert again == {"ok": True, "retry": True}
    assert dead == {"ok": True, "retry": False}


def test_6_dlq_lists_the_dead(client: Client, q: str) -> None:
    ids = [client.push(q, max_attempts=1) for _ in range(3)]
    client.pull(q, "?count=3")
    for job_id in ids:
        client.post(f"/jobs/{job_id}/fail", {"error": "x"})

    assert {job["id"] for job in client.get(f"/queues/{q}/dlq").json["jobs"]} == set(ids)
    assert len(client.get(f"/queues/{q}/dlq?limit=2").json["jobs"]) == 2
    assert client.get(f"/queues/{q}/dlq?limit=0").json["jobs"] == []


def test_6_r10_progress_is_clamped_and_logged(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    assert client.post(f"/jobs/{job_id}/progress", {"progress": 300, "message": "far"}).json == {"ok": True}
    below, odd = (client.post(f"/jobs/{job_id}/progress", {"progress": value}) for value in (-1, "x"))

    job = client.get(f"/jobs/{job_id}").json["job"]
    assert (job["progress"], [entry["message"] for entry in job["logs"]]) == (100, ["far"])
    assert {below.code, odd.code} == {"VALIDATION_ERROR"}
    assert {below.status, odd.status} <= {400, 422}


def test_6_flow_status_counts_its_jobs(client: Client, q: str) -> None:
    parent = client.push(q, flow_id=f"f/{q}")
    client.push(q, flow_id=f"f/{q}", depends_on=[parent])
    client.push(q, flow_id=f"f/{q}", delay_ms=60_000)

    flow = client.get(f"/flows/f%2F{q}").json
    unknown = client.get("/flows/never-seen").json

    assert (flow["flow_id"], len(flow["jobs"])) == (f"f/{q}", 3)
    summary = {"total": 3, "waiting": 1, "active": 0, "blocked": 1, "completed": 0, "failed": 0, "dlq": 0}
    assert {key: flow["summary"][key] for key in summary} == summary
    assert (unknown["jobs"], unknown["summary"]["total"]) == ([], 0)


def test_6_7_10_a_paused_queue_refuses_pushes_and_hands_out_jobs(client: Client, q: str) -> None:
    client.push(q)

    for _ in range(2):
        assert client.post(f"/queues/{q}/pause").json == {"ok": True}
    refused = client.post(f"/queues/{q}/jobs", {"name": "n", "data": 1})
    pulled = client.pull(q)["job"]
    for _ in range(2):
        assert client.post(f"/queues/{q}/resume").json == {"ok": True}

    assert (refused.status, refused.code) == (503, "QUEUE_PAUSED")
    assert pulled is not None
    assert client.push(q)


def test_6_the_openapi_document_and_its_page_are_public(client: Client) -> None:
    assert client.get("/openapi.json").json["openapi"].startswith("3.1")
    assert client.get("/docs").headers["content-type"].startswith("text/html")


def test_6_a_plain_get_of_the_event_socket_is_a_client_error(client: Client) -> None:
    assert 400 <= client.get("/events").status < 500
