"""The TCP contract, row by row: §10, the rulings on it, and what is ours beyond it."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.tcp.clients import Client, Server, code
from tests.waiting import eventually

UNKNOWN = str(uuid.uuid4())


# --- §10: the protocol -------------------------------------------------------------------------------


def test_s10_push_without_data_stores_an_empty_object(client: Client, q: str) -> None:
    assert client.get(client.push(q))["data"] == {}
    assert client.get(client.call("push_batch", queue=q, jobs=[{"name": "n"}])["ids"][0])["data"] == {}


@pytest.mark.parametrize("data", [None, 0, "", [], False, {"a": "é😀"}, 1.5, 12345678901234567890123])
def test_s10_data_may_be_any_json(client: Client, q: str, data: Any) -> None:
    client.push(q, data=data)

    assert client.pull(q)["data"] == data


def test_s10_push_batch_gives_ids_in_order(client: Client, q: str) -> None:
    jobs = [{"name": f"n{number}", "data": number} for number in range(120)]

    ids = client.call("push_batch", queue=q, jobs=jobs)["ids"]

    pulled = client.call("pull", queue=q, count=200)["jobs"]
    assert [(job["id"], job["data"]) for job in pulled] == list(zip(ids, range(120), strict=True))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"nonsense", "PARSE_ERROR"),
        (b"", "PARSE_ERROR"),
        (b"   \t ", "PARSE_ERROR"),
        (b'{"cmd":"push"', "PARSE_ERROR"),
        (b'{"cmd":"stats","queue":"q"} x', "PARSE_ERROR"),
        (b"NaN", "PARSE_ERROR"),
        (b"[]", "VALIDATION_ERROR"),
        (b"5", "VALIDATION_ERROR"),
        (b"{}", "VALIDATION_ERROR"),
        (b'{"cmd":null}', "VALIDATION_ERROR"),
        (b'{"cmd":7}', "VALIDATION_ERROR"),
        (b'{"cmd":"dance"}', "UNKNOWN_COMMAND"),
        (b'{"cmd":"PUSH"}', "UNKNOWN_COMMAND"),
        (b'{"cmd":"push","queue":"q"}', "VALIDATION_ERROR"),
        (b'{"cmd":"push","queue":7,"name":"n"}', "VALIDATION_ERROR"),
        (b'{"cmd":"push_batch","queue":"q"}', "VALIDATION_ERROR"),
        (b'{"cmd":"push_batch","queue":"q","jobs":{}}', "VALIDATION_ERROR"),
        (b'{"cmd":"pull"}', "VALIDATION_ERROR"),
        (b'{"cmd":"ack"}', "VALIDATION_ERROR"),
        (b'{"cmd":"ack","id":"no-uuid"}', "VALIDATION_ERROR"),
        (b'{"cmd":"ack_batch"}', "VALIDATION_ERROR"),
        (b'{"cmd":"progress","id":"0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"}', "VALIDATION_ERROR"),
        (b'{"cmd":"auth"}', "VALIDATION_ERROR"),
        (b'{"cmd":"push","queue":"q","name":"n","data":1e999}', "VALIDATION_ERROR"),
    ],
)
def test_s10_a_line_that_is_no_command_is_answered_and_the_connection_stays(
    client: Client, line: bytes, expected: str
) -> None:
    assert code(client.ask(line)) == expected
    assert client.call("ping") == {"ok": True}


def test_s10_replies_come_in_the_order_of_the_commands(client: Client, q: str) -> None:
    lines = []
    for number in range(50):
        lines += [
            {"cmd": "push", "queue": q, "name": f"n{number}"},
            {"cmd": "pull", "queue": q},
            {"cmd": "stats", "queue": q},
            {"cmd": "nothing"},
        ]
    client.send(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    replies = [client.reply() for _ in lines]

    for number, (pushed, pulled, counted, refused) in enumerate(zip(*[iter(replies)] * 4, strict=True)):
        assert pulled["job"]["id"] == pushed["id"] and pulled["job"]["name"] == f"n{number}"
        assert counted["counts"]["active"] == number + 1
        assert code(refused) == "UNKNOWN_COMMAND"


def test_s10_crlf_ends_a_line_too(client: Client, q: str) -> None:
    client.send(json.dumps({"cmd": "push", "queue": q, "name": "n"}).encode() + b"\r\n" + b'{"cmd":"ping"}\r\n')

    assert client.reply()["id"] and client.reply() == {"ok": True}


def test_s10_a_command_may_come_byte_by_byte(client: Client, q: str) -> None:
    for byte in json.dumps({"cmd": "push", "queue": q, "name": "n", "data": "é"}).encode() + b"\n":
        client.send(bytes([byte]))

    assert client.reply()["id"]


def test_b36_half_a_line_holds_back_no_reply(client: Client, q: str) -> None:
    client.send(b'{"cmd":"ping"}\n{"cmd":"stats","que')

    assert client.reply() == {"ok": True}

    client.send(b'ue":"' + q.encode() + b'"}\n')
    assert client.reply()["counts"]["waiting"] == 0


def test_s10_a_last_line_without_a_line_break_is_executed(client: Client, q: str) -> None:
    client.send(b'{"cmd":"ping"}\n{"cmd":"push","queue":"%b","name":"n"}' % q.encode())
    client.socket.shutdown(1)

    assert client.reply() == {"ok": True} and client.reply()["id"]
    assert client.is_at_end()


def test_s10_what_is_not_utf_8_closes_after_what_came_before(client: Client, q: str) -> None:
    client.send(b'{"cmd":"push","queue":"%b","name":"n"}\n{"cmd":"\xff"}\n{"cmd":"ping"}\n' % q.encode())

    assert client.reply()["id"]
    assert client.is_at_end()


def test_s10_no_reply_holds_a_line_break(client: Client, q: str) -> None:
    client.push(q, name="n", data="line\nbreak", custom_id="a\nb", metadata={"a": "\r\n"})

    job = client.pull(q)
    client.call("fail", id=job["id"], error="two\nlines")

    assert (job["data"], job["custom_id"]) == ("line\nbreak", "a\nb")
    assert client.get(job["id"])["last_error"] == "two\nlines"


@pytest.mark.parametrize("form", ["items", "ids"])
def test_s10_ack_batch_answers_for_each_item(client: Client, q: str, form: str) -> None:
    ids = [client.push(q) for _ in range(3)]
    client.call("pull", queue=q, count=3)
    fields = (
        {"items": [{"id": job_id, "result": {"of": job_id}} for job_id in ids]} if form == "items" else {"ids": ids}
    )

    reply = client.call("ack_batch", **fields)

    assert reply == {"ok": True, "acked": 3, "failed": 0, "results": [{"id": job_id, "ok": True} for job_id in ids]}
    assert client.get(ids[0])["result"] == ({"of": ids[0]} if form == "items" else None)


def test_s10_items_win_over_ids(client: Client, q: str) -> None:
    first, second = client.push(q), client.push(q)
    client.call("pull", queue=q, count=2)

    assert client.call("ack_batch", items=[{"id": first}], ids=[second])["acked"] == 1
    assert client.get(second)["state"] == "active"


def test_r6_a_partly_refused_ack_batch_is_not_ok_and_says_why(client: Client, q: str) -> None:
    good, waiting = client.push(q), client.push(q)
    client.pull(q)

    reply = client.call("ack_batch", ids=[good, waiting, UNKNOWN, good])

    assert (reply["ok"], reply["acked"], reply["failed"]) == (False, 1, 3)
    assert [item["ok"] for item in reply["results"]] == [True, False, False, False]
    assert [item["error"]["code"] for item in reply["results"][1:]] == [
        "INVALID_STATE",
        "JOB_NOT_FOUND",
        "INVALID_STATE",
    ]
    assert reply["error"]["code"] == "PARTIAL_FAILURE"


def test_s10_a_malformed_item_refuses_the_whole_command(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    for fields in ({"ids": [job_id, "no-uuid"]}, {"items": [{"id": job_id}, {"result": 1}]}, {"ids": [job_id, 7]}):
        assert code(client.call("ack_batch", **fields)) == "VALIDATION_ERROR"
    assert client.get(job_id)["state"] == "active"


def test_r2_get_of_an_unknown_or_bad_id(client: Client) -> None:
    assert code(client.call("get", id=UNKNOWN)) == "NOT_FOUND"
    assert code(client.call("get", id="no-uuid")) == "VALIDATION_ERROR"


def test_s10_a_schedule_lives_its_life(client: Client, q: str) -> None:
    options = {"priority": 2, "metadata": {"a": 1}}
    fields = {"queue": q, "job_name": "n", "every_ms": 3_600_000, "job_options": options, "max_executions": 5}

    assert client.call("schedule_create", name=q, **fields) == {"ok": True}

    schedule = client.call("schedule_get", name=q)["schedule"]
    assert {key: schedule[key] for key in fields if key != "job_options"} == {
        k: fields[k] for k in fields if k != "job_options"
    }
    assert schedule["job_data"] == {} and schedule["job_options"]["priority"] == 2
    assert q in [each["name"] for each in client.call("schedule_list")["schedules"]]
    assert client.call("schedule_pause", name=q) == {"ok": True}
    assert client.call("schedule_get", name=q)["schedule"]["paused"] is True
    assert client.call("schedule_resume", name=q) == {"ok": True}
    assert client.call("schedule_get", name=q)["schedule"]["paused"] is False
    assert client.call("schedule_delete", name=q) == {"ok": True}
    assert code(client.call("schedule_get", name=q)) == "NOT_FOUND"


def test_s8_a_new_schedule_fires_at_the_next_housekeeping(client: Client, q: str) -> None:
    client.call("schedule_create", name=q, queue=q, job_name="n", job_data=[1], cron_expr="0 0 1 1 *")

    job = client.call("pull", queue=q, wait_ms=10_000)["job"]

    client.call("schedule_delete", name=q)
    assert job["data"] == [1]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "cron_expr or every_ms"),
        ({"cron_expr": "* * * * *", "every_ms": 5}, ""),
        ({"cron_expr": "not cron"}, "Invalid cron"),
        ({"every_ms": "soon"}, ""),
        ({"every_ms": 1_000, "job_options": {"priority": "x"}}, ""),
    ],
)
def test_s8_a_schedule_that_cannot_be_is_refused(client: Client, q: str, fields: dict[str, Any], word: str) -> None:
    reply = client.call("schedule_create", name=q, queue=q, job_name="n", **fields)

    assert code(reply) == "VALIDATION_ERROR" and word in reply["error"]["message"]


def test_s10_an_unknown_schedule(client: Client) -> None:
    assert code(client.call("schedule_pause", name="none")) == "SCHEDULE_NOT_FOUND"
    assert code(client.call("schedule_resume", name="none")) == "SCHEDULE_NOT_FOUND"


def test_r12_deleting_an_unknown_schedule_is_well(client: Client) -> None:
    assert client.call("schedule_delete", name="none") == {"ok": True}


# --- ours ---------------------------------------------------------------------------------------------


def test_a_long_poll_gets_a_job_as_it_is_pushed(tcp_server: Server, client: Client, q: str) -> None:
    client.send(b'{"cmd":"pull","queue":"%b","wait_ms":10000}\n{"cmd":"ping"}\n' % q.encode())
    with tcp_server.client() as other:
        job_id = other.push(q)

    assert client.reply()["job"]["id"] == job_id
    assert client.reply() == {"ok": True}


def test_a_long_poll_without_a_job_ends_in_time(client: Client, q: str) -> None:
    assert client.call("pull", queue=q, wait_ms=50) == {"ok": True, "job": None}
    assert client.call("pull", queue=q, wait_ms=50, count=5) == {"ok": True, "jobs": []}


def test_a_client_that_leaves_its_long_poll_gets_no_job(tcp_server: Server, client: Client, q: str) -> None:
    with tcp_server.client() as leaving:
        leaving.send(b'{"cmd":"pull","queue":"%b","wait_ms":60000}\n' % q.encode())
        assert leaving.socket.getsockname()

    job_id = client.push(q)

    eventually(lambda: client.pull(q, wait_ms=50) is not None)
    assert client.get(job_id)["state"] == "active"


def test_fields_choose_what_a_pull_moves(client: Client, q: str) -> None:
    job_id = client.push(q, data={"a": 1}, tags=["t"])

    job = client.pull(q, fields=["id", "data", "lease", "tags", "started_at"])

    assert list(job) == ["id", "data", "lease", "tags", "started_at"]
    assert (job["id"], job["data"], job["lease"], job["tags"]) == (job_id, {"a": 1}, 1, ["t"])
    assert client.call("get", id=job_id, fields=["state"])["job"] == {"state": "active"}


def test_unknown_fields_are_refused_before_a_job_is_taken(client: Client, q: str) -> None:
    client.push(q)

    assert code(client.call("pull", queue=q, fields=["id", "colour"])) == "VALIDATION_ERROR"
    assert client.call("stats", queue=q)["counts"]["waiting"] == 1


def test_a_lease_that_was_lost_changes_nothing(client: Client, q: str) -> None:
    job_id = client.push(q, backoff_delay_ms=0)
    first = client.pull(q)
    client.call("fail", id=job_id, lease=first["lease"], error="e")
    second = client.pull(q)

    for cmd in ("ack", "fail", "heartbeat", "progress", "release"):
        assert code(client.call(cmd, id=job_id, lease=first["lease"], progress=1)) == "LEASE_LOST"
    assert client.call("ack", id=job_id, lease=second["lease"]) == {"ok": True}


def test_a_job_can_be_given_back(client: Client, q: str) -> None:
    job_id = client.push(q)
    client.pull(q)

    assert client.call("release", id=job_id) == {"ok": True}

    job = client.get(job_id)
    assert (job["state"], job["attempt"]) == ("waiting", 0)


def test_worker_and_lease_can_be_named(client: Client, q: str) -> None:
    job_id = client.push(q)

    job = client.pull(q, worker_id="w1", lease_ms=90_000)

    held = datetime.fromisoformat(job["lease_until"]) - datetime.fromisoformat(job["started_at"])
    assert (job["id"], job["worker_id"], held) == (job_id, "w1", timedelta(seconds=90))


def test_heartbeats_come_in_batches(client: Client, q: str) -> None:
    ids = [client.push(q) for _ in range(2)]
    client.call("pull", queue=q, count=2)
    client.call("cancel", id=ids[1], running=True)

    reply = client.call("heartbeat_batch", items=[*({"id": job_id} for job_id in ids), {"id": UNKNOWN}], lease_ms=5_000)

    assert (reply["ok"], reply["extended"], reply["failed"]) == (False, 2, 1)
    assert [item.get("cancel_requested") for item in reply["results"]] == [False, True, None]
    assert reply["results"][2]["error"]["code"] == "JOB_NOT_FOUND"


def test_failures_come_in_batches(client: Client, q: str) -> None:
    ids = [client.push(q, max_attempts=number) for number in (1, 2)]
    client.call("pull", queue=q, count=2)

    reply = client.call("fail_batch", items=[{"id": job_id, "error": "e"} for job_id in ids])

    assert (reply["ok"], reply["recorded"]) == (True, 2)
    assert [item["will_retry"] for item in reply["results"]] == [False, True]


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
