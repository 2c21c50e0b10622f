"""Tokens, roles, scopes, lockout, browsers, headers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from pyqueue.server.tokens import digest
from tests.server.process import ENVIRONMENT, Client, Server, serving
from tests.tcp.clients import Client as TcpClient

pytestmark = pytest.mark.sqlite("what is decided before the storage is asked")

TOKENS = {
    "reader": ("read",),
    "pusher": ("push",),
    "worker": ("work",),
    "admin": ("admin",),
    "scoped": ("read", "push", "work"),
}
PUSH = ("POST", "/queues/mine/jobs", b'{"name":"n","data":1}')


def token_of(name: str) -> str:
    return f"pq_{name}-{'x' * 32}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = Path(tmp_path_factory.mktemp("guarded"))
    lines = ["[auth]", "lockout_failures = 3", "[server]", "host = '127.0.0.1'"]
    for name, roles in TOKENS.items():
        lines += [
            "[[auth.tokens]]",
            f"name = '{name}'",
            f"sha256 = '{digest(token_of(name))}'",
            f"roles = {list(roles)}",
        ]
        lines += ["queues = ['mine']"] if name == "scoped" else []
    (folder / "server.toml").write_text("\n".join(lines))
    with serving(folder / "jobs.db", "--config", str(folder / "server.toml")) as running:
        yield running


def send(server: Server, name: str, method: str, path: str, body: bytes | None = None) -> int:
    headers = {"Content-Type": "application/json"} if body else {}
    return server.client(token_of(name)).send(method, path, body, headers).status


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (None, "Missing"),
        ("Basic abc", "Bearer"),
        ("bearer abc", "Bearer"),
        ("Bearer ", "Bearer"),
        ("Bearer wrong", "Invalid"),
    ],
)
def test_6_1_who_has_no_token_is_told_so(guarded: Server, header: str | None, word: str) -> None:
    answer = guarded.client().send("GET", "/queues", headers={} if header is None else {"Authorization": header})

    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert word in answer.message


def test_6_1_auth_comes_before_the_method_and_the_path(guarded: Server) -> None:
    assert guarded.client().send("PUT", "/queues").status == 401
    assert guarded.client().send("GET", "/nowhere").status == 401


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs"])
def test_6_1_some_pages_are_public(guarded: Server, path: str) -> None:
    assert guarded.client().get(path).status == 200


def test_6_1_the_websocket_takes_the_same_header(guarded: Server) -> None:
    url = f"ws://127.0.0.1:{guarded.port}/api/v1/events"
    with pytest.raises(InvalidStatus) as caught, connect(url):
        pass
    assert caught.value.response.status_code == 401

    with connect(url, additional_headers={"Authorization": f"Bearer {token_of('reader')}"}) as socket:
        assert socket.ping().wait(timeout=10)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("reader", {"read"}), ("pusher", {"push"}), ("worker", {"work"}), ("admin", {"read", "push", "work", "admin"})],
)
def test_a_token_may_do_what_its_roles_say(guarded: Server, name: str, allowed: set[str]) -> None:
    requests = {
        "read": ("GET", "/queues", None),
        "push": PUSH,
        "work": ("GET", "/queues/mine/jobs", None),
        "admin": ("POST", "/queues/mine/resume", None),
    }

    statuses = {role: send(guarded, name, *request) for role, request in requests.items()}

    assert {role for role, status in statuses.items() if status != 403} == allowed


def test_a_scoped_token_reaches_its_queues_only(guarded: Server) -> None:
    admin, scoped = guarded.client(token_of("admin")), guarded.client(token_of("scoped"))
    own, other = admin.push("mine"), admin.push("theirs")

    assert scoped.get(f"/jobs/{own}").status == 200
    assert scoped.get(f"/jobs/{other}").status == 404
    assert scoped.post(f"/jobs/{other}/ack").status == 404
    [of_other] = scoped.post("/jobs/ack-batch", {"ids": [other]}).json["results"]
    assert of_other["error"]["code"] == "JOB_NOT_FOUND"
    assert scoped.get("/jobs?queue=mine").status == 200
    assert [scoped.get(path).status for path in ("/queues/theirs/jobs", "/jobs", "/jobs?queue=theirs", "/queues")] == [
        403
    ] * 4
    assert scoped.get("/events/stream?queues=theirs").status == 403


def test_b41_wrong_tokens_are_locked_out_and_good_ones_are_not(guarded: Server) -> None:
    wrong, right = guarded.client("pq_wrong"), guarded.client(token_of("reader"))

    statuses = [wrong.get("/queues", **{"X-Forwarded-For": f"10.0.0.{i}"}).status for i in range(6)]

    assert statuses[-1] == 429
    assert right.get("/queues").status == 200
    assert wrong.get("/queues").status == 401, "a success clears the counter"


def test_b41_tcp_counts_wrong_tokens_together_with_http(guarded: Server) -> None:
    guarded.client(token_of("reader")).get("/queues")
    with TcpClient(guarded.tcp_port) as client:
        codes = [client.call("auth", token="pq_wrong")["error"]["code"] for _ in range(4)]
        over_http = guarded.client("pq_wrong").get("/queues").status
        let_in = client.call("auth", token=token_of("reader"))

        assert (codes, over_http) == (["UNAUTHORIZED"] * 3 + ["RATE_LIMITED"], 429)
        assert let_in == {"ok": True}, "a good token is always taken"
        assert client.call("stats", queue="q")["ok"]


def test_b34_a_ticket_stands_for_the_token_where_no_header_can_be_sent(guarded: Server) -> None:
    ticket = guarded.client(token_of("reader")).post("/events/tickets").json["ticket"]

    with connect(f"ws://127.0.0.1:{guarded.port}/api/v1/events?ticket={ticket}") as socket:
        assert socket.ping().wait(timeout=10)

    assert guarded.client().get(f"/queues?ticket={ticket}").status == 401, "it is good for the stream only"
    assert guarded.client().get(f"/events/stream?ticket={ticket[:-1]}0x").status == 401
    assert guarded.client(token_of("pusher")).post("/events/tickets").status == 403


def test_tokens_are_neither_logged_nor_kept(guarded: Server) -> None:
    guarded.client(token_of("reader")).get("/queues")
    guarded.client("pq_secret-guess").get("/queues")

    assert "secret-guess" not in "".join(guarded.log)
    assert token_of("reader") not in "".join(guarded.log)


# --- without tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
    ],
)
def test_b40_pages_of_other_sites_are_refused(client: Client, q: str, headers: dict[str, str]) -> None:
    job_id = client.push(q)

    answer = client.send("GET", f"/queues/{q}/jobs", headers=headers)

    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert client.get(f"/jobs/{job_id}").json["job"]["state"] == "waiting"
    assert client.send("GET", "/health", headers=headers).status == 200


def test_b40_the_websocket_refuses_them_too(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{server.port}/api/v1/events", origin=Origin("https://evil.example"))

    assert caught.value.response.status_code == 403


def test_our_own_pages_and_programs_are_served(client: Client) -> None:
    own = f"http://127.0.0.1:{client.port}"

    assert client.get("/queues", Origin=own, **{"Sec-Fetch-Site": "same-origin"}).status == 200
    assert client.get("/queues", **{"Sec-Fetch-Site": "none"}).status == 200
    assert client.get("/queues").status == 200


def test_r14_cors_is_off_unless_asked_for(client: Client, tmp_path: Path) -> None:
    ask = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.send("OPTIONS", "/queues", headers=ask).headers

    with serving(tmp_path / "jobs.db", PYQUEUE_BROWSERS_CORS_ORIGINS="https://shop.example") as server:
        preflight = server.client().send("OPTIONS", "/anything", headers=ask)
        plain = server.client().get("/queues", Origin="https://shop.example", **{"Sec-Fetch-Site": "cross-site"})
        other = server.client().get("/queues", Origin="https://evil.example")

    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    assert (plain.status, plain.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    assert other.status == 403


def test_r14_a_star_is_what_rustqueue_does(tmp_path: Path) -> None:
    with serving(tmp_path / "jobs.db", PYQUEUE_BROWSERS_CORS_ORIGINS="*") as server:
        ask = {"Origin": "https://any.example", "Access-Control-Request-Method": "POST"}
        preflight = server.client().send("OPTIONS", "/queues", headers=ask)
        plain = server.client().get("/queues", Origin="https://any.example")

    names = ["access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"]
    assert [preflight.headers[name] for name in names] == ["*"] * 3
    assert plain.headers["access-control-allow-origin"] == "*"


def test_every_reply_carries_the_security_headers(client: Client) -> None:
    for answer in (client.get("/queues"), client.get("/docs"), client.get("/nowhere")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "server" not in answer.headers


def test_a_request_id_is_kept_or_made(client: Client) -> None:
    assert client.get("/queues", **{"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert len(client.get("/queues").headers["x-request-id"]) == 16


def test_a_public_address_without_a_token_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyqueue", "serve", "--storage", str(tmp_path / "jobs.db"), "--host", "0.0.0.0"]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 2
    assert "there is no token" in ended.stderr
