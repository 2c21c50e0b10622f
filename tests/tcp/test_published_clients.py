"""What the published Node and Go clients send over TCP, and what they need of the replies (wire format, 17.2)."""

from __future__ import annotations

import json
from typing import Any

from tests.tcp.clients import Client, Server, code

# The longest line that the Go client's scanner takes; a longer one drops its connection.
_GO_LINE_BYTES_MAX = 1_048_576


def test_node_and_go_push_with_nested_options(client: Client, q: str) -> None:
    options = {"priority": 3, "tags": ["a"], "max_attempts": 2, "backoff": "fixed"}

    first = client.call("push", queue=q, name="n", data={"a": 1}, options=options)
    rest = client.call("push_batch", queue=q, jobs=[{"name": "n", "data": {}, "options": options}, {"name": "n"}])

    assert set(first) == {"ok", "id"} and isinstance(first["id"], str)
    assert len(rest["ids"]) == 2
    assert client.get(first["id"])["priority"] == client.get(rest["ids"][0])["priority"] == 3


def test_node_connects_with_a_token_to_a_server_that_needs_none(tcp_server: Server) -> None:
    with tcp_server.client(token="whatever") as client:
        assert client.call("stats", queue="q")["ok"]


def test_node_pulls_by_count_and_reads_job_or_jobs(client: Client, q: str) -> None:
    client.call("push_batch", queue=q, jobs=[{"name": "n"}] * 4)

    assert client.call("pull", queue=q, count=1)["job"]["name"] == "n"
    assert len(client.call("pull", queue=q, count=2)["jobs"]) == 2
    assert client.call("pull", queue=q)["job"]["name"] == "n"
    assert client.call("pull", queue=q, count=1)["job"] is None


def test_node_and_go_read_will_retry_and_next_attempt_at(client: Client, q: str) -> None:
    job_id = client.push(q, max_attempts=2)
    client.pull(q)

    reply = client.call("fail", id=job_id, error="e")

    assert reply["will_retry"] is True and isinstance(reply["next_attempt_at"], str) and "retry" not in reply


def test_node_acks_items_and_rejects_what_is_not_ok(client: Client, q: str) -> None:
    ids = [client.push(q) for _ in range(2)]
    client.call("pull", queue=q, count=1)

    reply = client.call("ack_batch", items=[{"id": job_id} for job_id in ids])

    # It raises error.code, where there is one: better than UNKNOWN_ERROR.
    assert reply["ok"] is False and reply["error"]["code"] == "PARTIAL_FAILURE" and reply["acked"] == 1


def test_node_and_go_turn_not_found_into_null(client: Client) -> None:
    assert code(client.call("get", id="0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e")) == "NOT_FOUND"
    assert code(client.call("schedule_get", name="none")) == "NOT_FOUND"


def test_go_decodes_whole_numbers_where_it_has_integers(client: Client, q: str) -> None:
    client.push(q, timeout_ms=1_000, ttl_ms=60_000, delay_ms=0)
    client.call("schedule_create", name=q, queue=q, job_name="n", every_ms=3_600_000, fires_at_once=False)

    job = client.pull(q)
    schedule = client.call("schedule_get", name=q)["schedule"]
    client.call("schedule_delete", name=q)

    for key in ("priority", "attempt", "max_attempts", "backoff_delay_ms", "timeout_ms", "ttl_ms"):
        assert type(job[key]) is int, key
    assert type(schedule["every_ms"]) is int and type(schedule["execution_count"]) is int


def test_go_can_read_a_whole_pull_of_a_hundred_jobs(client: Client, q: str) -> None:
    client.call("push_batch", queue=q, jobs=[{"name": "n", "data": {"text": "x" * 1_000}}] * 100)

    reply = client.call("pull", queue=q, count=100)

    assert len(json.dumps(reply, separators=(",", ":"))) < _GO_LINE_BYTES_MAX


def test_nothing_is_sent_unasked(client: Client, q: str) -> None:
    commands: list[dict[str, Any]] = [
        {"cmd": "push", "queue": q, "name": "n"},
        {"cmd": "pull", "queue": q},
        {"cmd": "x"},
    ]
    client.send(b"".join(json.dumps(command).encode() + b"\n" for command in commands))
    client.socket.shutdown(1)

    assert [client.reply()["ok"] for _ in commands] == [True, True, False]
    assert client.is_at_end()
