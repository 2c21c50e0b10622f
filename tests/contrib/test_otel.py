"""OpenTelemetry: spans of pushes and runs, seen by the SDK's own exporter."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pyqueue import Discard, PyQueue, Snooze
from pyqueue.contrib.otel import instrument
from pyqueue.core.errors import ConfigError, DuplicateKey


class Traces:
    """An instrumented queue's spans, once they are over."""

    def __init__(self, queue: PyQueue) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")
        instrument(queue, tracer_provider=provider)

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


@pytest.fixture
def traces(queue: PyQueue) -> Traces:
    return Traces(queue)


def _attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_run_is_part_of_the_trace_that_pushed_it_and_links_to_the_push(queue: PyQueue, traces: Traces) -> None:
    @queue.task(queue="emails")
    def send(to: str) -> str:
        trace.get_current_span().set_attribute("seen", "yes")
        return to

    with traces.tracer.start_as_current_span("request"):
        job_id = send.options(metadata={"own": 1}).push("user@a.com")
    queue.run_worker(burst=True)

    push, request, run = traces.spans()
    assert (push.name, push.kind) == ("push emails", SpanKind.PRODUCER)
    assert (run.name, run.kind) == ("run emails", SpanKind.CONSUMER)
    assert push.parent is not None and push.parent.span_id == request.context.span_id
    assert run.parent is not None and run.parent.span_id == push.context.span_id
    assert [link.context.span_id for link in run.links] == [push.context.span_id]
    assert {span.context.trace_id for span in (push, request, run)} == {request.context.trace_id}
    common = {
        "messaging.system": "pyqueue",
        "messaging.destination.name": "emails",
        "messaging.message.id": str(job_id),
        "pyqueue.job.name": "send",
    }
    assert _attributes(push) == common | {"messaging.operation.name": "push", "messaging.operation.type": "send"}
    assert _attributes(run) == common | {
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "pyqueue.job.attempt": 1,
        "seen": "yes",
    }
    metadata = queue.get_job(job_id).metadata
    assert set(metadata) == {"own", "traceparent"}
    assert "user@a.com" not in "".join(span.to_json() for span in traces.spans())


def test_every_attempt_is_a_span_and_only_failures_are_errors(queue: PyQueue, traces: Traces) -> None:
    @queue.task(queue="q", backoff_delay_ms=0)
    async def work(what: str) -> None:
        if what == "snooze":
            raise Snooze(60_000)
        if what == "discard":
            raise Discard("no point")
        raise ConnectionError("gone")

    for what, options in (("fail", {"max_attempts": 2}), ("snooze", {}), ("discard", {})):
        work.options(**options).push(what)  # type: ignore[arg-type]
        queue.run_worker(burst=True)

    runs = [span for span in traces.spans() if span.kind is SpanKind.CONSUMER]
    assert [_attributes(run)["pyqueue.job.attempt"] for run in runs] == [1, 2, 1, 1]
    assert [run.status.status_code for run in runs] == [StatusCode.ERROR] * 2 + [StatusCode.UNSET] * 2
    assert [_attributes(run).get("error.type") for run in runs] == ["ConnectionError"] * 2 + [None] * 2
    assert [_attributes(run).get("pyqueue.job.verdict") for run in runs] == [None, None, "snooze", "discard"]
    assert [event.name for event in runs[0].events] == ["exception"]


@pytest.mark.sqlite("the caller's transaction is one of sqlite3")
def test_batches_and_pushes_in_transactions_and_event_loops_have_spans(
    queue: PyQueue, traces: Traces, path: Path
) -> None:
    async def apush() -> None:
        await queue.apush("q", "one")

    queue.push_many("q", [{"name": "two"}, {"name": "three"}])
    asyncio.run(apush())
    database = sqlite3.connect(path)
    with database:
        database.execute("BEGIN")
        queue.on(database).push("q", "four")
    database.close()
    queue.run_worker("q", lambda job: None, burst=True)

    pushes = [span for span in traces.spans() if span.kind is SpanKind.PRODUCER]
    runs = [span for span in traces.spans() if span.kind is SpanKind.CONSUMER]
    assert [_attributes(push).get("messaging.batch.message_count") for push in pushes] == [2, None, None]
    assert [run.parent.span_id for run in runs if run.parent] == [
        pushes[number].context.span_id for number in (0, 0, 1, 2)
    ]


def test_a_push_that_fails_is_an_error(queue: PyQueue, traces: Traces) -> None:
    queue.push("q", "one", unique_key="k")
    with pytest.raises(DuplicateKey):
        queue.push("q", "one", unique_key="k")

    assert [span.status.status_code for span in traces.spans()] == [StatusCode.UNSET, StatusCode.ERROR]


def test_jobs_of_other_clients_run_in_traces_of_their_own(queue: PyQueue, traces: Traces, path: Path) -> None:
    with PyQueue(path) as other:
        other.push("q", "one", metadata=[1])
        other.push("q", "two", metadata={"traceparent": "nonsense"})
    queue.run_worker("q", lambda job: None, burst=True)

    assert [(span.parent, list(span.links)) for span in traces.spans()] == [(None, []), (None, [])]


def test_a_queue_is_instrumented_once(queue: PyQueue, traces: Traces) -> None:
    with pytest.raises(ConfigError, match="is instrumented already"):
        instrument(queue)
