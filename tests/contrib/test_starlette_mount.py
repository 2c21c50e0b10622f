"""The HTTP API mounted in an application: who may do what, prefixes, pages of other sites."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.testclient import TestClient, WebSocketDenialResponse

from pyqueue import PyQueue
from pyqueue.contrib.starlette import lifespan, mounted_api
from pyqueue.core.errors import ConfigError

pytestmark = pytest.mark.sqlite("what is asked of the queue does the same on any storage")
JOBS = "/inside/api/v1/queues/q/jobs"
PUSH: dict[str, Any] = {"name": "n", "data": None}


def by_header(connection: HTTPConnection) -> str:
    return connection.headers.get("x-level", "none")


@pytest.fixture
def site(path: Path) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of an application that has the API at `/inside`."""
    clients: list[TestClient] = []

    def make(authorize: Any = by_header, **options: Any) -> TestClient:
        app = Starlette(routes=[Mount("/inside", mounted_api(authorize, **options))], lifespan=lifespan(PyQueue(path)))
        clients.append(TestClient(app))
        clients[-1].__enter__()
        return clients[-1]

    yield make
    for client in clients:
        client.__exit__()


@pytest.mark.parametrize(
    ("level", "allowed"),
    [
        ("none", ()),
        ("read", ("look",)),
        ("operate", ("look", "push", "pull")),
        ("admin", ("look", "push", "pull", "pause")),
    ],
)
def test_each_level_may_do_what_it_says(site: Any, level: str, allowed: tuple[str, ...]) -> None:
    client = site()
    client.headers["x-level"] = level

    statuses = {
        "look": client.get("/inside/api/v1/queues").status_code,
        "push": client.post(JOBS, json=PUSH).status_code,
        "pull": client.get(JOBS).status_code,
        "pause": client.post("/inside/api/v1/queues/q/pause").status_code,
    }

    assert {name for name, status in statuses.items() if status < 300} == set(allowed)
    assert {status for name, status in statuses.items() if name not in allowed} <= {403}


@pytest.mark.parametrize("page", ["health", "docs", "openapi.json"])
def test_its_documents_are_for_those_who_may_look(site: Any, page: str) -> None:
    client = site()

    assert client.get(f"/inside/api/v1/{page}").status_code == 403
    assert client.get(f"/inside/api/v1/{page}", headers={"x-level": "read"}).status_code == 200


def test_its_document_finds_its_paths_from_where_it_is(site: Any) -> None:
    document = site().get("/inside/api/v1/openapi.json", headers={"x-level": "read"})

    assert document.url.join(document.json()["servers"][0]["url"]).path == "/inside/api/v1"


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://elsewhere.example"}],
)
def test_pages_of_other_sites_are_refused_whoever_is_logged_in(site: Any, headers: dict[str, str]) -> None:
    client = site()
    client.headers["x-level"] = "admin"

    assert client.get(JOBS, headers=headers).status_code == 403
    assert client.post(JOBS, json=PUSH, headers=headers).status_code == 403


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://testserver"}, {}])
def test_own_pages_and_programs_are_not(site: Any, headers: dict[str, str]) -> None:
    assert site().post(JOBS, json=PUSH, headers={"x-level": "operate", **headers}).status_code == 201


def test_the_callback_may_be_async_and_may_refuse_in_its_own_way(site: Any) -> None:
    async def authorize(connection: HTTPConnection) -> str:
        await asyncio.sleep(0)
        if "x-level" not in connection.headers:
            raise HTTPException(303, headers={"location": "/login"})
        return "read"

    client = site(authorize)

    assert client.get("/inside/api/v1/queues", headers={"x-level": ""}).status_code == 200
    assert client.get("/inside/api/v1/queues", follow_redirects=False).headers["location"] == "/login"


@pytest.mark.parametrize("answer", [None, True, "root"])
def test_a_callback_that_says_something_else_lets_nobody_in(site: Any, answer: object) -> None:
    answer_of = site(lambda connection: answer).get("/inside/api/v1/queues")

    assert answer_of.status_code == 500 and "read, operate, admin" in answer_of.json()["error"]["message"]


def test_what_is_not_there_is_not_found(site: Any) -> None:
    client = site()
    client.headers["x-level"] = "read"

    assert client.get("/inside/queues").status_code == 404
    assert client.get("/inside/api/v1/nothing").status_code == 404


def test_a_body_that_is_too_large_is_refused(site: Any) -> None:
    client = site(body_bytes_max=100)

    answer = client.post(JOBS, json={"name": "n", "data": "x" * 100}, headers={"x-level": "admin"})

    assert answer.status_code == 413


def test_webhooks_are_of_the_standalone_server_alone(site: Any) -> None:
    answer = site().get("/inside/api/v1/webhooks", headers={"x-level": "admin"})

    assert answer.status_code == 503 and answer.json()["error"]["code"] == "WEBHOOKS_DISABLED"


def test_events_are_followed_over_a_websocket_by_those_who_may_look(site: Any) -> None:
    client = site()

    with client.websocket_connect("/inside/api/v1/events", headers={"x-level": "read"}) as socket:
        assert client.post(JOBS, json=PUSH, headers={"x-level": "operate"}).status_code == 201
        assert socket.receive_json()["event"] == "job.pushed"
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/inside/api/v1/events"):
        pass


def test_a_mount_in_an_application_without_a_queue_says_so() -> None:
    client = TestClient(Starlette(routes=[Mount("/inside", mounted_api(by_header))]))

    assert "lifespan" in client.get("/inside/api/v1/queues").json()["error"]["message"]


def test_a_long_poll_is_answered_by_what_comes(site: Any) -> None:
    client = site()
    queue: PyQueue = client.app.state.pyqueue
    queue.push("q", "soon", delay_ms=100)

    assert client.get(f"{JOBS}?wait_ms=20000", headers={"x-level": "operate"}).json()["job"]["name"] == "soon"


def test_an_access_that_is_none_of_the_four_is_a_mistake_of_the_application() -> None:
    from pyqueue.web.access import grant_of

    with pytest.raises(ConfigError, match="none, read, operate, admin"):
        grant_of("everything", {})
