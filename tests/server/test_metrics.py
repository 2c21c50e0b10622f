"""What Prometheus reads (section 14 of the wire format, and b45)."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyqueue import PyQueue
from pyqueue.server.exposition import METRICS
from pyqueue.server.measures import Measures
from pyqueue.server.scrape import Scrape
from pyqueue.server.tokens import digest
from tests.server.process import Client, Server, serving
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("the figures are tested on both in tests/core")

ROOT = Path(__file__).parent.parent.parent
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(client: Client) -> Samples:
    """All samples, by name and labels."""
    answer = client.get("/metrics/prometheus")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"pyqueue_{name}", frozenset(labels.items())))


def eventually_is(client: Client, value: float | None, name: str, **labels: str) -> None:
    eventually(lambda: of(scrape(client), name, **labels) == value, what=f"{name} to be {value}")


def test_14_every_metric_is_told_with_its_kind_and_meaning(client: Client) -> None:
    page = client.get("/metrics/prometheus").body.decode()

    told = {(name, kind) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M)}
    assert told == {(metric.name, metric.kind) for metric in METRICS}
    assert len(re.findall(r"^# HELP \S+ \S+", page, re.M)) == len(METRICS)


def test_14_the_names_of_the_model_are_there_with_our_prefix() -> None:
    lines = """jobs_pushed_total jobs_pulled_total jobs_completed_total jobs_failed_total schedules_fired_total
        rate_limit_rejected_total http_requests_total queue_waiting_jobs queue_active_jobs queue_delayed_jobs
        queue_dlq_jobs websocket_clients_connected scheduler_tick_duration_seconds push_duration_seconds
        pull_duration_seconds ack_duration_seconds http_request_duration_seconds webhooks_delivered_total
        webhooks_delivery_failures_total"""

    assert {f"pyqueue_{name}" for name in lines.split()} <= {metric.name for metric in METRICS}


def test_14_b45_jobs_are_counted_by_queue_whichever_process_moved_them(server: Server, client: Client, q: str) -> None:
    with PyQueue(server.path) as queue:
        queue.push_many(q, [{"name": "n", "backoff_delay_ms": 60_000}] * 3)
        done, failed, _ = queue.pull(q, count=3)
        queue.ack(done)
        queue.fail(failed, "x")

        eventually_is(client, 1, "jobs_failed_total", queue=q)
        found = scrape(client)

    expected = {
        "jobs_pushed_total": 3, "jobs_pulled_total": 3, "jobs_completed_total": 1, "jobs_failed_total": 1,
        "jobs_retried_total": 1, "jobs_dead_total": None, "queue_active_jobs": 1, "queue_delayed_jobs": 1,
        "queue_waiting_jobs": 0, "queue_age_seconds": 0, "queue_paused": 0,
    }  # fmt: skip
    assert {name: of(found, name, queue=q) for name in expected} == expected


def test_14_servers_of_one_database_tell_the_same_and_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with serving(path) as first, serving(path) as second:
        first.client().push("q")
        second.client().push("q")
        assert of(scrape(first.client()), "jobs_pushed_total", queue="q") == 2
        assert of(scrape(second.client()), "jobs_pushed_total", queue="q") == 2
    with serving(path) as third:
        third.client().push("q")
        assert of(scrape(third.client()), "jobs_pushed_total", queue="q") == 3


def test_14_b45_durations_are_histograms_with_buckets_and_batches_are_timed(client: Client, q: str) -> None:
    client.post(f"/queues/{q}/jobs", [{"name": "n", "data": 1}] * 2)
    client.pull(q)

    # The page may be one made a moment ago.
    eventually(lambda: of(scrape(client), "pull_duration_seconds_count", transport="http"), what="the page to be new")
    found = scrape(client)

    for name in ("push_duration_seconds", "pull_duration_seconds"):
        count = of(found, f"{name}_count", transport="http")
        assert count
        assert of(found, f"{name}_bucket", transport="http", le="+Inf") == count
        assert of(found, f"{name}_bucket", transport="http", le="0.005") is not None
    assert of(found, "http_request_duration_seconds_bucket", method="POST", le="10.0")
    assert of(found, "http_requests_total", method="POST", status_class="2xx")


def test_14_a_long_poll_is_counted_and_not_timed(tmp_path: Path) -> None:
    with serving(tmp_path / "jobs.db") as server:
        server.client().pull("q", "?wait_ms=50")
        found = scrape(server.client())

    assert of(found, "http_requests_total", method="GET", status_class="2xx") == 1
    assert of(found, "http_request_duration_seconds_count", method="GET") is None
    assert of(found, "pull_duration_seconds_count", transport="http") is None


def test_14_what_a_push_limit_refuses_is_counted_by_queue(server: Server, client: Client, q: str) -> None:
    with PyQueue(server.path) as queue:
        queue.set_push_limit(q, rate=1, per_ms=3_600_000)
    client.push(q)

    assert client.post(f"/queues/{q}/jobs", {"name": "n", "data": 1}).status == 429
    eventually_is(client, 1, "rate_limit_rejected_total", queue=q)


def test_14_the_tcp_protocol_is_counted_too(tmp_path: Path) -> None:
    with serving(tmp_path / "jobs.db") as server, PyQueue(server.path) as queue:
        queue.set_push_limit("q", rate=1, per_ms=3_600_000)
        port = next(int(line.rpartition(":")[2]) for line in server.log if line.startswith("tcp on"))
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as replies:
            line = b'{"cmd":"push","queue":"q","name":"n","data":1}\n'
            connection.sendall(line * 3)
            assert [json.loads(replies.readline())["ok"] for _ in range(3)] == [True, False, False]

            found = scrape(server.client())

    assert of(found, "rate_limit_rejected_total", queue="q") == 2
    assert of(found, "push_duration_seconds_count", transport="tcp")
    assert of(found, "tcp_clients_connected") == 1


def test_14_b45_a_queue_that_is_gone_loses_its_gauges(client: Client, q: str) -> None:
    job_id = client.push(q)
    eventually_is(client, 1, "queue_waiting_jobs", queue=q)

    client.delete(f"/jobs/{job_id}")

    eventually_is(client, None, "queue_waiting_jobs", queue=q)
    assert of(scrape(client), "jobs_pushed_total", queue=q) == 1


def test_14_metrics_are_open_also_where_there_are_tokens_and_read_only(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text(f"[[auth.tokens]]\nname = 'a'\nsha256 = '{digest('t' * 20)}'\nroles = ['read']\n")
    with serving(tmp_path / "jobs.db", "--config", str(config)) as server:
        assert server.client().get("/metrics/prometheus").status == 200
        assert server.client().post("/metrics/prometheus").status == 405


def test_14_without_the_package_the_server_serves_and_the_page_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyqueue.server.exposition", None)
    monkeypatch.delattr("pyqueue.server.exposition")
    with PyQueue(tmp_path / "jobs.db") as queue:
        reply = asyncio.run(Scrape(queue, Measures()).answer("GET"))

    assert reply.status == 503
    assert b"pip install" in reply.body


def _names(text: str) -> set[str]:
    return set(re.findall(r"\bpyqueue_\w+", text))


def test_the_dashboard_and_the_alerts_use_metrics_that_there_are() -> None:
    known = {metric.name for metric in METRICS if metric.kind != "histogram"}
    known |= {f"{metric.name}_bucket" for metric in METRICS if metric.kind == "histogram"}
    dashboard = json.loads((ROOT / "deploy/grafana/pyqueue-dashboard.json").read_text())
    rules = (ROOT / "deploy/prometheus/pyqueue-rules.yml").read_text()

    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert all(_names(expression) for expression in expressions)
    assert _names(json.dumps(dashboard)) <= known
    assert _names(rules) <= known
    labels = {metric.name.removesuffix("_total"): set(metric.labels) for metric in METRICS}
    for expression in (*expressions, *re.findall(r"expr: (.+)", rules)):
        for grouped, name in re.findall(r"by \((.+?)\) \(.*?(pyqueue_\w+)", expression):
            name = re.sub(r"_(bucket|total)$", "", name)
            assert set(grouped.split(", ")) <= labels[name] | {"le", "instance"}, expression


def test_the_documentation_has_every_metric() -> None:
    rows = re.findall(r"^\| `(pyqueue_\w+)` \| (\w+) \| (.+?) \| (.+) \|$", (ROOT / "docs/server.md").read_text(), re.M)

    assert rows == [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "–", metric.meaning)
        for metric in METRICS
    ]
