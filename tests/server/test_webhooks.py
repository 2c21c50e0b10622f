"""Webhooks, to a real receiver (sections 2.5 and 13 of the wire format; R7, b4, b31, b32, b42)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from pyqueue.core import webhook
from pyqueue.server.tokens import digest
from pyqueue.web.stream import ALL_EVENTS, WIRE_EVENTS
from tests.server.process import Client, Server, serving
from tests.server.receiver import Delivery, Receiver, receiving
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("what is registered and delivered is tested on both in tests/core")

ON = {
    "PYQUEUE_WEBHOOKS_ENABLED": "true",
    "PYQUEUE_WEBHOOKS_ALLOW_PRIVATE": "true",
    "PYQUEUE_WEBHOOKS_RETRY_BASE_DELAY_MS": "10",
    "PYQUEUE_WEBHOOKS_MAX_RETRIES": "2",
    "PYQUEUE_WEBHOOKS_DISABLE_AFTER": "2",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(Path(tmp_path_factory.mktemp("hooks")) / "jobs.db", "--durability", "process", **ON) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    for each in client.get("/webhooks").json["webhooks"]:
        client.delete(f"/webhooks/{each['id']}")


def register(client: Client, url: str, **body: Any) -> Any:
    answer = client.post("/webhooks", {"url": url, **body})
    assert answer.status == 201, answer
    return answer.json["webhook"]


def deliveries(receiver: Receiver, q: str, number: int) -> list[Delivery]:
    eventually(lambda: len(receiver.of(q)) >= number, seconds=30, what=f"{number} deliveries")
    return receiver.of(q)


def jobs_of(client: Client, hook: Any, state: str) -> list[Any]:
    jobs: list[Any] = client.get(f"/webhooks/{hook['id']}/deliveries?state={state}").json["jobs"]
    return jobs


def test_2_5_a_webhook_has_the_keys_of_the_wire_and_never_its_secret(client: Client) -> None:
    made = client.post("/webhooks", {"url": "http://example.com/x", "secret": "hidden-secret"})

    hook = made.json["webhook"]
    assert (made.status, hook["url"], hook["events"], hook["queues"], hook["active"]) == (
        201, "http://example.com/x", [], [], True,
    )  # fmt: skip
    assert uuid.UUID(hook["id"])
    assert client.get(f"/webhooks/{hook['id']}").json == {"ok": True, "webhook": hook}
    assert client.get("/webhooks").json["webhooks"] == [hook]
    assert b"hidden-secret" not in made.body + client.get("/webhooks").body
    assert client.delete(f"/webhooks/{hook['id']}").json == {"ok": True}
    assert client.get(f"/webhooks/{hook['id']}").code == "WEBHOOK_NOT_FOUND"
    assert client.delete(f"/webhooks/{hook['id']}").status == 404


def test_13_r7_events_are_named_in_both_forms_and_kept_in_one(client: Client) -> None:
    hook = register(client, "http://example.com", events=["job.completed", "job_failed", "job_completed", "job_dlq"])

    assert hook["events"] == ["job_completed", "job_failed", "job_dlq"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"url": "http://example.com", "events": ["job.vanished"]}, 422),
        ({"url": ""}, 422),
        ({"events": []}, 422),
        ({"url": "ftp://example.com"}, 400),
        ({"url": "example.com"}, 400),
        ({"url": "http://user:secret@example.com"}, 400),
        ({"url": "http://example.com:99999"}, 400),
        ({"url": "http://example.com/\r\nX-Other: 1"}, 400),
        ({"url": "http://example.com", "queues": ["no such name"]}, 400),
    ],
)
def test_13_what_is_no_webhook_is_refused(client: Client, body: Any, status: int) -> None:
    answer = client.post("/webhooks", body)

    assert (answer.status, answer.code) == (status, "VALIDATION_ERROR")


def test_13_without_the_setting_webhooks_are_off(tmp_path: Path) -> None:
    with serving(tmp_path / "jobs.db") as off:
        answers = [off.client().get("/webhooks"), off.client().post("/webhooks", {"url": "http://example.com"})]

    assert [(answer.status, answer.code) for answer in answers] == [(503, "WEBHOOKS_DISABLED")] * 2


def test_13_the_usual_events_are_told_with_the_body_and_the_headers_of_the_wire(
    server: Server, client: Client, receiver: Receiver, q: str
) -> None:
    hook = register(client, receiver.url("/hook?a=b"), queues=[q])
    with PyQueue(server.path) as queue:  # another process
        done, dead, gone = (queue.push(q, "n", max_attempts=1) for _ in range(3))
        queue.pull(q, count=2)
        queue.ack(done)
        queue.fail(dead, "x")
        queue.cancel(gone)

    told = deliveries(receiver, q, 6)

    assert sorted((each.json["event"], each.json["data"]["job_id"]) for each in told) == sorted(
        [("job.pushed", job_id) for job_id in (done, dead, gone)]
        + [("job.completed", done), ("job.failed", dead), ("job.cancelled", gone)]
    )
    for each in told:
        assert set(each.json) == {"event", "webhook_id", "timestamp", "data"}
        assert each.json["data"].keys() == {"job_id", "queue"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", each.json["timestamp"])
        assert each.path == "/hook?a=b"
        assert each.headers["content-type"] == "application/json"
        assert each.headers["x-rustqueue-event"] == each.json["event"]
        assert each.headers["x-rustqueue-webhook-id"] == hook["id"]
        assert "x-rustqueue-signature" not in each.headers
        assert "webhook-signature" not in each.headers
    assert len({each.headers["webhook-id"] for each in told}) == 6


def test_13_b32_only_the_named_events_of_the_named_queues_are_told(client: Client, receiver: Receiver, q: str) -> None:
    register(client, receiver.url(), queues=[q], events=["job.started", "job_retrying", "job_dlq"])
    client.push("other-" + q)
    job_id = client.push(q, max_attempts=2, backoff_delay_ms=0)
    for _ in range(2):
        client.pull(q)
        client.post(f"/jobs/{job_id}/fail", {"error": "x"})

    told = [each.json["event"] for each in deliveries(receiver, q, 4)]

    assert sorted(told) == ["job.dlq", "job.retrying", "job.started", "job.started"]
    assert len(receiver.deliveries) == 4


def test_13_every_event_of_the_stream_can_be_named() -> None:
    assert set(webhook.EVENTS) == {name.replace(".", "_") for name in ALL_EVENTS} | {"job_dlq", "job_progress"}
    assert set(webhook.USUAL_EVENTS) == {name.replace(".", "_") for name in WIRE_EVENTS}


@pytest.mark.parametrize("secret", ["plain secret", "whsec_" + base64.b64encode(b"k" * 24).decode()])
def test_13_b31_both_signatures_hold_and_the_second_binds_id_and_time(
    client: Client, receiver: Receiver, q: str, secret: str
) -> None:
    register(client, receiver.url(), queues=[q], secret=secret)
    client.push(q)

    [told] = deliveries(receiver, q, 1)

    model = hmac.new(secret.encode(), told.body, hashlib.sha256).hexdigest()
    assert told.headers["x-rustqueue-signature"] == f"sha256={model}"
    key = b"k" * 24 if secret.startswith("whsec_") else secret.encode()
    moment = told.headers["webhook-timestamp"]
    signed = f"{told.headers['webhook-id']}.{moment}.".encode() + told.body
    standard = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert told.headers["webhook-signature"] == f"v1,{standard}"
    assert abs(int(moment) - time.time()) < 60


def test_13_a_failed_try_is_repeated_under_the_same_id(client: Client, receiver: Receiver, q: str) -> None:
    receiver.status = lambda _: 500 if len(receiver.of(q)) < 3 else 200
    hook = register(client, receiver.url(), queues=[q])
    client.push(q)

    told = deliveries(receiver, q, 3)

    assert len({each.headers["webhook-id"] for each in told}) == 1
    assert len({each.body for each in told}) == 1
    [job] = eventually(lambda: jobs_of(client, hook, "completed"), what="the delivery to be noted")
    assert (job["id"], job["attempt"], job["result"]) == (told[0].headers["webhook-id"], 2, {"status": 200})


def test_13_b31_failures_in_a_row_stop_a_webhook_and_a_dead_delivery_is_sent_again(
    client: Client, receiver: Receiver, q: str
) -> None:
    receiver.status = lambda _: 503
    hook = register(client, receiver.url(), queues=[q])
    for _ in range(2):
        client.push(q)

    def stopped() -> Any:
        found = client.get(f"/webhooks/{hook['id']}").json["webhook"]
        return None if found["active"] else found

    found = eventually(stopped, what="the webhook to be stopped")
    assert found["failures"] == 2
    assert "503" in found["last_error"]
    assert len(receiver.of(q)) == 6
    client.push(q)  # while it is stopped: told to nobody
    eventually(lambda: len(jobs_of(client, hook, "dlq")) == 2, what="two dead letters")
    dead = jobs_of(client, hook, "dlq")

    receiver.status = lambda _: 200
    again = client.send(
        "PATCH", f"/webhooks/{hook['id']}", b'{"active": true}', {"Content-Type": "application/json"}
    ).json["webhook"]
    assert (again["active"], again["failures"]) == (True, 0)
    assert client.post(f"/jobs/{dead[0]['id']}/retry").status == 200

    told = deliveries(receiver, q, 7)
    assert told[6].headers["webhook-id"] == dead[0]["id"]
    later = client.push(q)
    assert deliveries(receiver, q, 8)[7].json["data"]["job_id"] == later


def test_13_b42_redirects_are_not_followed(client: Client, receiver: Receiver, q: str) -> None:
    receiver.status = lambda _: 307
    hook = register(client, receiver.url(), queues=[q])
    client.push(q)

    [job] = eventually(lambda: jobs_of(client, hook, "dlq"), what="the delivery to be given up")

    assert "307" in job["last_error"]
    assert {each.path for each in receiver.deliveries} == {"/hook"}


def test_13_b31_a_webhook_can_be_tested_and_edited(client: Client, receiver: Receiver) -> None:
    hook = register(client, "http://example.com/", secret="s")
    body = f'{{"url": "{receiver.url()}", "events": ["job.failed"], "secret": ""}}'.encode()
    edited = client.send("PATCH", f"/webhooks/{hook['id']}", body, {"Content-Type": "application/json"})
    assert edited.json["webhook"]["events"] == ["job_failed"]
    assert edited.json["webhook"]["has_secret"] is False

    assert client.post(f"/webhooks/{hook['id']}/test").status == 201

    [told] = eventually(lambda: receiver.deliveries, what="the test")
    assert (told.json["event"], told.json["webhook_id"], told.json["data"]) == ("webhook.test", hook["id"], {})


def test_13_b4_webhooks_and_deliveries_survive_a_kill_and_nothing_is_told_twice_by_two_servers(
    tmp_path: Path, receiver: Receiver
) -> None:
    path = tmp_path / "jobs.db"
    receiver.status = lambda _: 500
    with serving(path, **ON | {"PYQUEUE_JOBS_LEASE_MS": "1000"}) as first:
        register(first.client(), receiver.url(), queues=["q"])
        job_id = first.client().push("q")
        deliveries(receiver, "q", 1)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    receiver.status = lambda _: 200
    with PyQueue(path) as queue:
        later = [queue.push("q", "n") for _ in range(20)]  # while no server runs
    with serving(path, **ON) as second, serving(path, **ON):
        told = deliveries(receiver, "q", 22)
        eventually(lambda: second.client().get("/queues/pyqueue.webhooks/stats").json["counts"]["completed"] == 21)

    ids = [each.headers["webhook-id"] for each in told]
    assert len(set(ids)) == 21
    assert {each.json["data"]["job_id"] for each in told} == {job_id, *later}


def test_13_only_an_admin_reaches_webhooks_and_what_is_signed(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    tokens = {"pusher": ["push", "work", "read"], "boss": ["admin"]}
    config.write_text(
        "".join(
            f"[[auth.tokens]]\nname = '{name}'\nsha256 = '{digest(name * 4)}'\nroles = {roles}\n"
            for name, roles in tokens.items()
        )
    )
    with serving(tmp_path / "jobs.db", "--config", str(config), **ON) as running:
        pusher, boss = running.client("pusher" * 4), running.client("boss" * 4)
        forged = {"name": "deliver", "data": {"webhook_id": "w", "event": "job.completed"}}

        assert pusher.get("/webhooks").status == 403
        assert pusher.post(f"/queues/{webhook.QUEUE}/jobs", forged).status == 403
        assert pusher.get(f"/queues/{webhook.QUEUE}/jobs").status == 403
        assert pusher.post("/queues/q/jobs", forged).status == 201
        assert boss.get("/webhooks").status == 200
        port = next(int(line.rpartition(":")[2]) for line in running.log if line.startswith("tcp on"))
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rwb") as lines:
            for command in (
                {"cmd": "auth", "token": "pusher" * 4},
                {"cmd": "push", "queue": webhook.QUEUE, **forged},
                {"cmd": "push", "queue": "q", **forged},
            ):
                lines.write(json.dumps(command).encode() + b"\n")
            lines.flush()
            assert [json.loads(lines.readline())["ok"] for _ in range(3)] == [True, False, True]


def test_13_large_batches_are_told_in_parts(server: Server, client: Client, receiver: Receiver, q: str) -> None:
    register(client, receiver.url(), queues=[q], events=["job.pushed"])
    with PyQueue(server.path) as queue:
        before = queue.stats(webhook.QUEUE).total
        for _ in range(3):
            queue.push_many(q, [{"name": "n"}] * 1_000)

        eventually(lambda: queue.stats(webhook.QUEUE).total - before == 3_000, seconds=30, what="all to be handed over")
        queue.purge(webhook.QUEUE)


def test_13_deliveries_are_counted(client: Client, receiver: Receiver, q: str) -> None:
    register(client, receiver.url(), queues=[q])
    client.push(q)
    deliveries(receiver, q, 1)

    def delivered() -> bool:
        page = client.get("/metrics/prometheus").body.decode()
        found = re.search(r"^pyqueue_webhooks_delivered_total (\S+)$", page, re.M)
        return found is not None and float(found[1]) >= 1

    eventually(delivered, what="the delivery to be counted")
