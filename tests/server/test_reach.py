"""A token for some queues reaches no other by any door: every route and command, each with a queue not its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.sync.client import connect

from pyqueue import PyQueue
from pyqueue.core.webhook import QUEUE as DELIVERIES
from pyqueue.server.tcp_commands import COMMANDS
from pyqueue.server.tokens import digest
from pyqueue.web.api import ROUTES
from tests.server.process import Client, Server, serving
from tests.tcp.clients import Client as TcpClient

ALL = ["read", "push", "work", "admin"]
TOKENS: dict[str, tuple[list[str], list[str]]] = {
    "admin": (ALL, []),
    "mine": (ALL, ["mine"]),  # may do everything, in its queue
    "plain": (["read", "push", "work"], []),  # reaches every queue but what the server signs and sends
}


def token_of(name: str) -> str:
    return f"pq_{name}-{'x' * 32}"


class Place(NamedTuple):
    """A server with something of each kind in a queue that the token `mine` does not reach."""

    server: Server
    waiting: str
    active: str
    dead: str
    own: str

    def client(self, name: str) -> Client:
        return self.server.client(token_of(name))

    def tcp(self, name: str) -> TcpClient:
        return TcpClient(self.server.tcp_port, token=token_of(name))

    def state(self) -> Any:
        """All that a stranger could have changed."""
        admin = self.client("admin")
        paths = ("/jobs?queue=theirs", "/queues/theirs/limits", "/schedules", "/webhooks", "/flows/theirs", "/queues")
        found = [admin.get(path).json for path in paths]
        found[-1] = [each for each in found[-1]["queues"] if each["name"] != "mine"]
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = Path(tmp_path_factory.mktemp("reach"))
    lines = ["[webhooks]", "enabled = true"]
    for name, (roles, queues) in TOKENS.items():
        lines += ["[[auth.tokens]]", f"name = '{name}'", f"sha256 = '{digest(token_of(name))}'"]
        lines += [f"roles = {roles}", f"queues = {queues}"]
    (folder / "server.toml").write_text("\n".join(lines))
    with PyQueue(folder / "jobs.db") as queue:
        active = queue.push("theirs", "n", flow_id="theirs")
        queue.pull("theirs")
        dead = queue.push("theirs", "n", max_attempts=1)
        queue.pull("theirs")
        queue.fail(dead, "broken")
        waiting = queue.push("theirs", "n", {"secret": 1})
        own = queue.push("mine", "n")
        queue.set_limit("theirs", concurrency=7)
        queue.create_schedule("theirs", "theirs", "n", every_ms=86_400_000)
        queue.create_schedule("mine", "mine", "n", every_ms=86_400_000)
    with serving(folder / "jobs.db", "--config", str(folder / "server.toml")) as server:
        yield Place(server, waiting, active, dead, own)


FOLLOWING = {"follow_ups": [{"queue": "theirs", "name": "n"}]}
NESTED = {"follow_ups": [{"queue": "mine", "name": "n", "options": {"metadata": FOLLOWING}}]}
SCHEDULE = {"job_name": "n", "every_ms": 86_400_000}


def strange_options(place: Place) -> list[dict[str, Any]]:
    """The options of a job that name a queue which is not its own."""
    return [
        {"metadata": FOLLOWING},
        {"metadata": NESTED},
        {"depends_on": [place.waiting]},
        {"metadata": {"follow_ups": [{"queue": "mine", "name": "n", "options": {"depends_on": [place.waiting]}}]}},
    ]


def requests(place: Place) -> dict[tuple[str, str], list[tuple[str, Any]]]:
    """For each route, the requests (path and body) of a stranger."""
    schedules = "/schedules/theirs"
    bad_options = strange_options(place)
    jobs = {
        (method, f"/jobs/{{id}}{what}"): [(f"/jobs/{job_id}{what}", body)]
        for method, what, job_id, body in (
            ("GET", "", place.waiting, None),
            ("GET", "/attempts", place.dead, None),
            ("GET", "/logs", place.waiting, None),
            ("GET", "/explain", place.waiting, None),
            ("POST", "/ack", place.active, {}),
            ("POST", "/fail", place.active, {"error": "e"}),
            ("POST", "/release", place.active, {}),
            ("POST", "/progress", place.active, {"progress": 5}),
            ("POST", "/heartbeat", place.active, {}),
            ("POST", "/cancel", place.waiting, {}),
            ("POST", "/retry", place.dead, {}),
            ("DELETE", "", place.dead, None),
        )
    }
    queues = {
        (method, f"/queues/{{queue}}{what}"): [(f"/queues/theirs{what}", body)]
        for method, what, body in (
            ("GET", "/jobs", None),
            ("GET", "/dlq", None),
            ("POST", "/dlq/retry", {}),
            ("POST", "/purge", {}),
            ("POST", "/bulk", {"action": "delete"}),
            ("GET", "/stats", None),
            ("POST", "/pause", {}),
            ("POST", "/resume", {}),
            ("GET", "/limits", None),
            ("PUT", "/limits", {"concurrency": 1}),
            ("DELETE", "/limits", None),
            ("PUT", "/push-limit", {"rate": 1}),
            ("DELETE", "/push-limit", None),
            ("PUT", "/breaker", {"failures": 1}),
            ("DELETE", "/breaker", None),
        )
    }
    return jobs | queues | {
        ("POST", "/queues/{queue}/jobs"): [
            ("/queues/theirs/jobs", {"name": "n", "data": 1}),
            ("/queues/theirs/jobs", [{"name": "n", "data": 1}]),
            *(("/queues/mine/jobs", {"name": "n", "data": 1, **options}) for options in bad_options),
            *(("/queues/mine/jobs", {"name": "n", "data": 1, "options": options}) for options in bad_options),
            *(("/queues/mine/jobs", [{"name": "n", "data": 1}, {"name": "n", "data": 1, **o}]) for o in bad_options),
        ],
        ("GET", "/queues"): [("/queues", None)],
        ("GET", "/events/log"): [("/events/log?after=0", None)],
        ("GET", "/jobs"): [("/jobs", None), ("/jobs?queue=theirs", None), ("/jobs?flow_id=theirs", None)],
        ("POST", "/jobs/ack-batch"): [],  # Answered for each job: see below.
        ("POST", "/jobs/retry"): [],
        ("POST", "/schedules"): [
            ("/schedules", {"name": "new", "queue": "theirs", **SCHEDULE}),
            ("/schedules", {"name": "theirs", "queue": "mine", **SCHEDULE}),
            *(("/schedules", {"name": "new", "queue": "mine", "job_options": o, **SCHEDULE}) for o in bad_options),
        ],
        ("GET", "/schedules"): [("/schedules", None)],
        ("GET", "/schedules/{name}"): [(schedules, None)],
        ("PATCH", "/schedules/{name}"): [
            (schedules, {"queue": "mine"}),
            (schedules, {"every_ms": 1_000}),
            ("/schedules/mine", {"queue": "theirs"}),
            *(("/schedules/mine", {"job_options": options}) for options in bad_options),
        ],
        ("DELETE", "/schedules/{name}"): [(schedules, None)],
        ("GET", "/schedules/{name}/runs"): [(schedules + "/runs", None)],
        ("POST", "/schedules/{name}/pause"): [(schedules + "/pause", {})],
        ("POST", "/schedules/{name}/resume"): [(schedules + "/resume", {})],
        ("POST", "/schedules/{name}/trigger"): [(schedules + "/trigger", {})],
        ("GET", "/flows/{flow_id}"): [("/flows/theirs", None)],
        ("POST", "/flows/{flow_id}/cancel"): [("/flows/theirs/cancel", {})],
        ("POST", "/flows/{flow_id}/retry"): [("/flows/theirs/retry", {})],
        ("DELETE", "/flows/{flow_id}"): [("/flows/theirs", None)],
        ("GET", "/workers"): [("/workers", None)],
        ("GET", "/limits"): [("/limits", None)],
        ("POST", "/webhooks"): [("/webhooks", {"url": "https://example.com/", "queues": ["theirs"]})],
        ("GET", "/webhooks"): [("/webhooks", None)],
        ("GET", "/webhooks/{id}"): [("/webhooks/any", None)],
        ("PATCH", "/webhooks/{id}"): [("/webhooks/any", {"queues": ["theirs"]})],
        ("DELETE", "/webhooks/{id}"): [("/webhooks/any", None)],
        ("POST", "/webhooks/{id}/test"): [("/webhooks/any/test", {})],
        ("GET", "/webhooks/{id}/deliveries"): [("/webhooks/any/deliveries", None)],
    }  # fmt: skip


def commands(place: Place) -> dict[str, list[dict[str, Any]]]:
    """For each command of TCP, what a stranger could send; [] where there is nothing to be had."""
    bad_options = strange_options(place)
    active = {"id": place.active}
    return {
        "auth": [],
        "ping": [],
        "push": [
            {"queue": "theirs", "name": "n"},
            {"queue": "theirs", "name": "n", "priority": 1},
            *({"queue": "mine", "name": "n", **options} for options in bad_options),
            *({"queue": "mine", "name": "n", "options": options} for options in bad_options),
        ],
        "push_batch": [
            {"queue": "theirs", "jobs": [{"name": "n"}]},
            *({"queue": "mine", "jobs": [{"name": "n"}, {"name": "n", **options}]} for options in bad_options),
        ],
        "pull": [{"queue": "theirs"}, {"queue": "theirs", "wait_ms": 10}],
        "ack": [active],
        "ack_batch": [],  # This and the two other batches answer for each job: see below.
        "fail": [{**active, "error": "e"}],
        "fail_batch": [],
        "release": [active],
        "cancel": [{"id": place.waiting}, {**active, "running": True}],
        "heartbeat": [active],
        "heartbeat_batch": [],
        "progress": [{**active, "progress": 5}],
        "stats": [{"queue": "theirs"}],
        "get": [{"id": place.waiting}],
        "queue_pause": [{"queue": "theirs"}],
        "queue_resume": [{"queue": "theirs"}],
        "schedule_create": [
            {"name": "new", "queue": "theirs", **SCHEDULE},
            {"name": "theirs", "queue": "mine", **SCHEDULE},
            *({"name": "new", "queue": "mine", "job_options": options, **SCHEDULE} for options in bad_options),
        ],
        "schedule_list": [{}],
        "schedule_get": [{"name": "theirs"}],
        "schedule_delete": [{"name": "theirs"}],
        "schedule_pause": [{"name": "theirs"}],
        "schedule_resume": [{"name": "theirs"}],
    }


def is_refused(status: int, code: str, message: str) -> bool:
    """As forbidden, as a job that does not exist, or as a parent that does not; for nothing else."""
    return (
        (status, code) == (403, "FORBIDDEN")
        or (status, code) == (404, "JOB_NOT_FOUND")
        or ((status, code) == (400, "VALIDATION_ERROR") and "does not exist" in message)
    )


def test_no_route_reaches_a_queue_that_is_not_the_tokens_own(place: Place) -> None:
    table, client, before = requests(place), place.client("mine"), place.state()

    assert set(table) == {(route.method, route.path) for route in ROUTES}, "each route has its line above"
    for (method, _), each in table.items():
        for path, body in each:
            encoded = None if body is None else json.dumps(body).encode()
            answer = client.send(method, path, encoded, {"Content-Type": "application/json"} if encoded else {})
            assert is_refused(answer.status, answer.code, answer.message), (method, path, body, answer)
    assert place.state() == before


def test_no_command_reaches_a_queue_that_is_not_the_tokens_own(place: Place) -> None:
    table, before = commands(place), place.state()

    assert set(table) == set(COMMANDS), "each command has its line above"
    with place.tcp("mine") as client:
        for name, each in table.items():
            for fields in each:
                reply = client.call(name, **fields)
                assert not reply["ok"], (name, fields, reply)
                found = reply["error"]
                code = "JOB_NOT_FOUND" if (name, found["code"]) == ("get", "NOT_FOUND") else found["code"]
                status = {"FORBIDDEN": 403, "JOB_NOT_FOUND": 404, "VALIDATION_ERROR": 400}[code]
                assert is_refused(status, code, found["message"]), (name, fields, reply)
    assert place.state() == before


def test_in_its_own_queue_such_a_token_does_what_its_roles_allow(place: Place) -> None:
    client = place.client("mine")
    parent = client.push("mine", metadata={"follow_ups": [{"queue": "mine", "name": "next"}]})
    child = client.push("mine", depends_on=[parent])

    assert client.get(f"/jobs/{child}").json["job"]["state"] == "blocked"
    assert {client.pull("mine")["job"]["id"] for _ in range(2)} == {place.own, parent}
    assert client.post("/jobs/ack-batch", {"ids": [place.own, parent]}).json["acked"] == 2
    assert client.get("/queues/mine/stats").json["counts"]["waiting"] == 2
    assert client.post("/schedules/mine/pause").status == 200
    with place.tcp("mine") as tcp:
        first, second = (tcp.push("mine", priority=9) for _ in range(2))
        assert [job["id"] for job in tcp.call("pull", queue="mine", count=2)["jobs"]] == [first, second]
        unknown = first[:-1] + ("0" if first[-1] != "0" else "1")
        outcome = tcp.call("ack_batch", ids=[first, unknown])
        assert (outcome["acked"], outcome["failed"]) == (1, 1)
        assert tcp.call("ack", id=second) == {"ok": True}
        assert tcp.push("mine", options={"depends_on": [second]})
        assert tcp.call("schedule_get", name="mine")["schedule"]["queue"] == "mine"


def test_a_job_of_a_foreign_queue_is_answered_as_one_that_does_not_exist(place: Place) -> None:
    admin, client = place.client("admin"), place.client("mine")
    gone = admin.push("theirs")
    admin.delete(f"/jobs/{gone}")

    foreign, missing = client.get(f"/jobs/{place.waiting}"), client.get(f"/jobs/{gone}")

    assert foreign.message.replace(place.waiting, "ID") == missing.message.replace(gone, "ID")
    assert foreign.status == missing.status == 404


def test_a_foreign_job_in_a_batch_is_answered_as_one_that_does_not_exist_and_the_others_are_done(place: Place) -> None:
    admin, client, before = place.client("admin"), place.client("mine"), place.state()
    gone = admin.push("theirs")
    admin.delete(f"/jobs/{gone}")

    for batch in ("ack-batch over HTTP", "ack_batch", "fail_batch", "heartbeat_batch"):
        replies = []
        for strange in (place.active, place.active.upper(), gone):
            own = client.push("mine", priority=99)
            client.pull("mine")
            with place.tcp("mine") as tcp:
                items = [{"id": strange, "error": "e"}, {"id": own, "error": "e"}]
                reply = (
                    client.post("/jobs/ack-batch", {"items": items}).json
                    if "HTTP" in batch
                    else tcp.call(batch, items=items)
                )
            assert [each["ok"] for each in reply["results"]] == [False, True], (batch, reply)
            text = json.dumps(reply["results"][0]) + json.dumps(reply["error"])
            replies.append((text.replace(strange, "ID"), reply["failed"]))
        assert len(set(replies)) == 1, replies
        with place.tcp("mine") as tcp:
            if batch.endswith("_batch"):
                assert tcp.call(batch, items=[{"id": place.active}])["failed"] == 1
    assert client.post("/jobs/ack-batch", {"ids": [place.active]}).json["failed"] == 1
    assert client.post("/jobs/retry", {"ids": [place.dead, gone]}).json == {"ok": True, "retried": 0}
    assert place.state() == before


def test_events_of_foreign_queues_are_not_told(place: Place) -> None:
    url = f"ws://127.0.0.1:{place.server.port}/api/v1/events?events=all"
    with connect(url, additional_headers={"Authorization": f"Bearer {token_of('mine')}"}) as socket:
        place.client("admin").delete(f"/jobs/{place.client('admin').push('theirs')}")
        own = place.client("admin").push("mine")

        assert json.loads(socket.recv(timeout=10))["job_id"] == own


def test_what_the_server_signs_and_sends_is_for_admin_alone(place: Place) -> None:
    admin, plain = place.client("admin"), place.client("plain")
    webhook = admin.post("/webhooks", {"url": "https://hook.invalid/"}).json["webhook"]
    delivery = admin.post(f"/webhooks/{webhook['id']}/test").json["id"]

    assert plain.get(f"/jobs/{delivery}").status == 404
    assert plain.post(f"/jobs/{delivery}/cancel").status == 404
    assert plain.get(f"/queues/{DELIVERIES}/stats").status == 403
    assert {job["queue"] for job in plain.get("/jobs").json["jobs"]} == {"mine", "theirs"}
    assert DELIVERIES in {job["queue"] for job in admin.get("/jobs").json["jobs"]}
    assert DELIVERIES not in {event["queue"] for event in plain.get("/events/log?after=0").json["events"]}
    with place.tcp("plain") as tcp:
        for name, fields in (("get", {}), ("ack", {}), ("cancel", {}), ("fail", {"error": "e"})):
            assert tcp.call(name, id=delivery, **fields)["error"]["code"] in ("NOT_FOUND", "JOB_NOT_FOUND")
        assert tcp.call("push", queue="mine", name="n", depends_on=[delivery])["error"]["code"] == "VALIDATION_ERROR"
    assert admin.delete(f"/webhooks/{webhook['id']}").status == 200
