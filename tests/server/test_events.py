"""Following the events over a WebSocket and as server-sent events (section 12 of the wire format, and b32 to b35)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pyqueue import PyQueue
from tests.server.process import Client, Server
from tests.waiting import eventually


def following(server: Server, query: str = "", **headers: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/api/v1/events{query}", additional_headers=headers)


def next_of(socket: ClientConnection, q: str) -> Any:
    """The next event of a queue: other tests may be at work beside us."""
    while True:
        event = json.loads(socket.recv(timeout=10))
        if event["queue"] == q:
            return event


def read_to_the_end(socket: ClientConnection) -> None:
    while True:
        socket.recv(timeout=10)


@contextmanager
def listening(server: Server, query: str = "", **headers: str) -> Iterator[Iterator[dict[str, str]]]:
    """The server-sent events, each as a dict of its fields."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", f"/api/v1/events/stream{query}", headers=headers)
        reply = connection.getresponse()
        assert reply.headers["content-type"].startswith("text/event-stream")
        yield _events(reply)
    finally:
        connection.close()


def _events(reply: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    while line := reply.readline():
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields
            fields = {}
        else:
            fields = {}


def test_12_an_event_has_exactly_its_four_keys(server: Server, client: Client, q: str) -> None:
    with following(server) as socket:
        job_id = client.push(q)
        event = next_of(socket, q)

    assert set(event) == {"event", "job_id", "queue", "timestamp"}
    assert (event["event"], event["job_id"]) == ("job.pushed", job_id)
    assert event["timestamp"].endswith("Z")


def test_12_the_life_of_a_job_is_told_and_a_retry_is_not(server: Server, client: Client, q: str) -> None:
    with following(server) as socket:
        done = client.push(q)
        client.pull(q)
        client.post(f"/jobs/{done}/ack")
        dead = client.push(q, max_attempts=2, backoff_delay_ms=0)
        for _ in range(2):
            client.pull(q)
            client.post(f"/jobs/{dead}/fail", {"error": "x"})
        gone = client.push(q)
        client.post(f"/jobs/{gone}/cancel")
        told = [(event["event"], event["job_id"]) for event in (next_of(socket, q) for _ in range(6))]

    assert told == [
        ("job.pushed", done),
        ("job.completed", done),
        ("job.pushed", dead),
        ("job.failed", dead),
        ("job.pushed", gone),
        ("job.cancelled", gone),
    ]


def test_12_what_is_not_the_life_of_a_job_is_not_told(server: Server, client: Client, q: str) -> None:
    with following(server, f"?queues={q}") as socket:
        first = client.push(q, delay_ms=20)
        eventually(lambda: client.pull(q)["job"], what="the job to be promoted")
        client.post(f"/jobs/{first}/progress", {"progress": 1, "message": "half"})
        client.post(f"/jobs/{first}/heartbeat")
        client.post(f"/queues/{q}/pause")
        client.post(f"/queues/{q}/resume")
        client.post(
            "/schedules", {"name": q, "queue": q, "job_name": "n", "cron_expr": "0 3 1 1 *", "fires_at_once": False}
        )
        client.delete(f"/schedules/{q}")
        last = client.push(q)

        assert [next_of(socket, q)["job_id"] for _ in range(2)] == [first, last]


def test_12_a_batch_is_one_event_for_each_job_and_a_released_child_is_pushed_again(
    server: Server, client: Client, q: str
) -> None:
    with following(server, f"?queues={q}") as socket:
        parent, child = client.push(q), ""
        child = client.push(q, depends_on=[parent])
        client.pull(q)
        client.post(f"/jobs/{parent}/ack")
        ids = client.post(f"/queues/{q}/jobs", [{"name": "n", "data": 1}] * 3).json["ids"]
        told = [(event["event"], event["job_id"]) for event in (next_of(socket, q) for _ in range(7))]

    assert told[:2] == [("job.pushed", parent), ("job.pushed", child)]
    assert set(told[2:4]) == {("job.completed", parent), ("job.pushed", child)}
    assert told[4:] == [("job.pushed", job_id) for job_id in ids]


def test_what_other_processes_do_is_told_too(server: Server, q: str) -> None:
    with following(server) as socket, PyQueue(server.path) as queue:
        job_id = queue.push(q, "n")

        assert next_of(socket, q)["job_id"] == job_id


def test_filters_by_event_queue_and_job(server: Server, client: Client, q: str) -> None:
    job_id = client.push(q)
    with following(server, f"?events=job.started,job.completed&queues={q}&jobs={job_id}") as socket:
        client.push(q)
        client.pull(q, "?count=2")
        client.post(f"/jobs/{job_id}/ack")
        told = [next_of(socket, q) for _ in range(2)]

    assert [(event["event"], event["job_id"]) for event in told] == [("job.started", job_id), ("job.completed", job_id)]
    assert {"state", "error", "worker_id", "cause", "id"} <= set(told[1])


@pytest.mark.parametrize("query", ["?events=job.exploded", "?after=x"])
def test_an_unknown_filter_is_refused(server: Server, query: str) -> None:
    with pytest.raises(InvalidStatus) as caught, following(server, query):
        pass

    assert caught.value.response.status_code == 400


def test_b35_a_websocket_goes_on_where_it_was(server: Server, client: Client, q: str) -> None:
    with following(server, f"?queues={q}&full=1") as socket:
        client.push(q)
        seen = next_of(socket, q)["id"]
    missed = client.push(q)

    with following(server, f"?queues={q}&full=1&after={seen}") as socket:
        assert next_of(socket, q)["job_id"] == missed


def test_b35_server_sent_events_go_on_where_they_were(server: Server, client: Client, q: str) -> None:
    with listening(server, f"?queues={q}") as events:
        client.post(f"/queues/{q}/jobs", [{"name": "n", "data": 1}] * 2)
        pair = [next(events), next(events)]
    missed = client.push(q)

    with listening(server, f"?queues={q}", **{"Last-Event-ID": pair[1]["id"]}) as events:
        event = next(events)

    assert "id" not in pair[0], "half a batch is no place to go on from"
    assert (event["event"], json.loads(event["data"])["job_id"]) == ("job.pushed", missed)
    assert set(json.loads(event["data"])) == {"event", "job_id", "queue", "timestamp"}


def test_b35_a_gap_is_told(server: Server, q: str) -> None:
    with listening(server, "?after=999999999") as events:
        assert next(events)["event"] == "gap"
    with following(server, "?after=999999999&full=1") as socket:
        assert json.loads(socket.recv(timeout=10))["event"] == "gap"


def test_b35_pings_are_answered_and_what_is_sent_is_ignored(server: Server, client: Client, q: str) -> None:
    with following(server) as socket:
        socket.send("hello")
        assert socket.ping().wait(timeout=10)
        client.push(q)
        assert next_of(socket, q)["event"] == "job.pushed"


def test_a_message_too_long_for_an_event_stream_ends_it(server: Server) -> None:
    with following(server) as socket:
        socket.send("x" * 100_000)

        with pytest.raises(ConnectionClosed):
            read_to_the_end(socket)
