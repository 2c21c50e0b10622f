"""The wire format over REST: what the engine does (section 7), and what is better than the model (19)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from pyqueue.web import history_replies, replies
from tests.server.process import Client
from tests.waiting import eventually

UNKNOWN = "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"


# --- 7: engine, as seen over REST ------------------------------------------------------------------


def test_7_1_a_delay_of_zero_is_delayed_until_promoted(client: Client, q: str) -> None:
    job_id = client.push(q, delay_ms=0)

    eventually(lambda: client.pull(q)["job"], what="the job to be promoted")

    assert client.get(f"/jobs/{job_id}").json["job"]["delay_until"] is None


def test_7_1_acking_twice_is_an_invalid_state_and_a_removed_job_is_gone(client: Client, q: str) -> None:
    kept, removed = client.push(q), client.push(q, remove_on_complete=True)
    client.pull(q, "?count=2")
    for job_id in (kept, removed):
        client.post(f"/jobs/{job_id}/ack")

    assert client.post(f"/jobs/{kept}/ack").code == "INVALID_STATE"
    assert client.post(f"/jobs/{removed}/ack").code == "JOB_NOT_FOUND"


def test_7_2_the_higher_number_and_then_the_older_is_pulled_first(client: Client, q: str) -> None:
    low, high, low_too = client.push(q, priority=-1), client.push(q, priority=5), client.push(q, priority=-1)

    assert [client.pull(q)["job"]["id"] for _ in range(3)] == [high, low, low_too]


def test_7_8_a_child_waits_for_its_parent(client: Client, q: str) -> None:
    parent = client.push(q)
    child = client.push(q, depends_on=[parent])
    assert client.get(f"/jobs/{child}").json["job"]["state"] == "blocked"
    assert client.get(f"/queues/{q}/stats").json["counts"]["blocked"] == 1

    client.pull(q)
    client.post(f"/jobs/{parent}/ack")

    assert client.get(f"/jobs/{child}").json["job"]["state"] == "waiting"


# --- 19: what is better ----------------------------------------------------------------------------


def test_b6_a_late_word_with_a_lease_changes_nothing(client: Client, q: str) -> None:
    job_id = client.push(q, backoff_delay_ms=0)
    first = client.pull(q, "?lease_ms=10")["job"]
    second = eventually(lambda: client.pull(q)["job"], what="the job to be handed out again")

    late = client.post(f"/jobs/{job_id}/ack", {"lease": first["lease"]})

    assert (late.status, late.code) == (409, "LEASE_LOST")
    assert client.post(f"/jobs/{job_id}/ack", {"lease": second["lease"]}).status == 200


def test_b25_jobs_are_listed_searched_and_paged(client: Client, q: str) -> None:
    ids = [client.push(q, tags=["red"] if i % 2 else ["blue"], custom_id=f"{q}-{i}") for i in range(5)]

    first = client.get(f"/jobs?queue={q}&limit=3").json
    rest = client.get(f"/jobs?queue={q}&limit=3&cursor={first['next_cursor']}").json
    red = client.get(f"/jobs?queue={q}&tag=red&state=waiting").json["jobs"]
    [own] = client.get(f"/jobs?custom_id={q}-4").json["jobs"]

    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert [job["id"] for job in red] == [ids[3], ids[1]]
    assert own["id"] == ids[4]


def test_b25_dead_letters_are_retried_deleted_and_purged(client: Client, q: str) -> None:
    ids = [client.push(q, max_attempts=1) for _ in range(4)]
    client.pull(q, "?count=4")
    for job_id in ids:
        client.post(f"/jobs/{job_id}/fail", {"error": "x"})

    assert client.post(f"/jobs/{ids[0]}/retry").json == {"ok": True}
    assert client.post("/jobs/retry", {"ids": [ids[1], UNKNOWN]}).json == {"ok": True, "retried": 1}
    assert client.delete(f"/jobs/{ids[2]}").json == {"ok": True}
    assert client.post(f"/queues/{q}/dlq/retry").json == {"ok": True, "retried": 1}
    assert client.post(f"/queues/{q}/purge", {"state": "waiting"}).json == {"ok": True, "removed": 3}


def test_b25_jobs_that_meet_conditions_are_cancelled_retried_and_deleted_together(client: Client, q: str) -> None:
    client.post(f"/queues/{q}/jobs", [{"name": f"n{i % 2}", "data": i, "tags": ["t"]} for i in range(230)])

    def bulk(action: str, **conditions: str) -> int:
        return int(client.post(f"/queues/{q}/bulk", {"action": action, **conditions}).json["jobs"])

    assert bulk("cancel", name="n1", tag="t") == 115
    assert bulk("retry", state="completed") == 0
    assert bulk("retry", state="cancelled", name="n1") == 115
    assert bulk("delete", name="n0", created_before="2100-01-01T00:00:00Z") == 115
    client.pull(q)
    assert bulk("delete") == 114, "the one that runs is passed over"
    assert client.post(f"/queues/{q}/bulk", {"action": "explode"}).status == 422


def test_b26_r6_a_batch_is_acknowledged_item_by_item(client: Client, q: str) -> None:
    ids = [client.push(q) for _ in range(3)]
    client.pull(q, "?count=2")

    good = client.post("/jobs/ack-batch", {"items": [{"id": ids[0], "result": 5}]}).json
    mixed = client.post("/jobs/ack-batch", {"ids": ids[1:]}).json

    assert (good["ok"], good["acked"], good["failed"]) == (True, 1, 0)
    assert (mixed["ok"], mixed["acked"], mixed["failed"]) == (False, 1, 1)
    assert mixed["results"][0] == {"id": ids[1], "ok": True}
    assert mixed["results"][1]["error"]["code"] == "INVALID_STATE"
    assert mixed["error"]["code"] == "PARTIAL_FAILURE"
    assert client.get(f"/jobs/{ids[0]}").json["job"]["result"] == 5


def test_b27_a_pull_waits_for_a_job(client: Client, q: str) -> None:
    began = time.monotonic()
    assert client.pull(q, "?wait_ms=150") == {"ok": True, "job": None}
    assert time.monotonic() - began >= 0.15

    client.push(q, delay_ms=100)

    assert client.pull(q, "?wait_ms=20000")["job"]["queue"] == q


def test_b29_a_running_job_is_asked_to_stop(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    assert client.post(f"/jobs/{job_id}/cancel", {"running": True}).json == {"ok": True, "state": "active"}
    assert client.post(f"/jobs/{job_id}/heartbeat").json["cancel_requested"] is True


def test_b30_pauses_can_be_read(client: Client, q: str) -> None:
    client.post(f"/queues/{q}/pause", {"pushes": False, "pulls": True})

    [queue] = [each for each in client.get("/queues").json["queues"] if each["name"] == q]

    assert (queue["pushes_paused"], queue["pulls_paused"]) == (False, True)


def test_attempts_and_logs_of_a_job(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)
    client.post(f"/jobs/{job_id}/progress", {"progress": 1, "message": "one"})
    client.post(f"/jobs/{job_id}/fail", {"error": "boom"})

    assert [each["error"] for each in client.get(f"/jobs/{job_id}/attempts").json["attempts"]] == ["boom"]
    assert [each["message"] for each in client.get(f"/jobs/{job_id}/logs").json["logs"]] == ["one"]


def test_what_a_job_reports_can_be_followed_until_it_ends(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)
    client.post(f"/jobs/{job_id}/progress", {"progress": 1, "message": "one"})
    first = client.get(f"/jobs/{job_id}/logs").json
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.get, f"/jobs/{job_id}/logs?after=1&wait_ms=20000")
        client.post(f"/jobs/{job_id}/progress", {"progress": 2, "message": "two"})
        second = waiting.result(20).json
        waiting = pool.submit(client.get, f"/jobs/{job_id}/logs?after=2&wait_ms=20000")
        client.post(f"/jobs/{job_id}/ack")
        last = waiting.result(20).json

    assert [(each["number"], each["message"]) for each in first["logs"] + second["logs"]] == [(1, "one"), (2, "two")]
    assert (first["is_over"], last["logs"], last["is_over"]) == (False, [], True)
    msgspec.convert(second, history_replies.Logs)


def test_a_job_that_does_not_run_is_explained(client: Client, q: str) -> None:
    job_id = client.push(q, delay_ms=60_000)

    answer = client.get(f"/jobs/{job_id}/explain").json

    assert (answer["job_id"], answer["state"], answer["reason"]) == (job_id, "delayed", "delayed")
    assert answer["sentence"] and answer["facts"]
    msgspec.convert(answer, history_replies.Explained)


def test_a_job_given_back_waits_again(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    assert client.post(f"/jobs/{job_id}/release").json == {"ok": True}
    assert client.pull(q)["job"]["id"] == job_id


def test_the_event_log_is_read_page_by_page(client: Client, q: str) -> None:
    position = client.get("/events/log").json["position"]
    job_id = client.push(q)

    page = client.get(f"/events/log?after={position}").json

    assert [(each["event"], each["job_id"]) for each in page["events"] if each["queue"] == q] == [
        ("job.pushed", job_id)
    ]
    assert set(page["events"][0]) == set(replies.Change.__struct_fields__)
