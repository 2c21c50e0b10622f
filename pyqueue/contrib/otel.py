"""OpenTelemetry: a span for each push and each run, linked through the metadata of the job.

    from pyqueue.contrib.otel import instrument

    instrument(queue)

Needs the extra `otel`. Names and attributes are those of the semantic conventions for messaging. The context
of a push travels in the metadata of its jobs, in the form of the configured propagator (`traceparent`), so
that a run, wherever and in whatever language it was pushed, is part of the trace that pushed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakSet

from opentelemetry import propagate, trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider

from pyqueue._version import VERSION
from pyqueue.core.errors import ConfigError
from pyqueue.core.handle.pushing import Pushing
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.verdicts import Discard, Snooze

_SYSTEM: Final = "pyqueue"
_instrumented: Final[WeakSet[PyQueue]] = WeakSet()


def instrument(queue: PyQueue, *, tracer_provider: TracerProvider | None = None) -> None:
    """Makes spans of the pushes through this handle, and of the runs of its workers.

    A push is a producer's span, `push emails`, also inside the caller's transaction. A run is a consumer's span,
    `run emails`, for each attempt; its parent is the span that pushed the job, which it also links to. It is an error
    if the run raises, unless it raises `Snooze` or `Discard`. Neither data nor results of jobs are recorded.
    `tracer_provider`: None takes the global one.

    Raises:
        ConfigError: the queue is instrumented already.
    """
    if queue in _instrumented:
        raise ConfigError(f"{queue!r} is instrumented already; expected one call of instrument() for each queue.")
    _instrumented.add(queue)
    tracer = trace.get_tracer("pyqueue", VERSION, tracer_provider)

    @queue.wrap_push
    def push_span(pushing: Pushing) -> Iterator[None]:
        name = f"push {pushing.queue}"
        with tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=_of_push(pushing)) as span:
            propagate.inject(pushing.metadata)
            yield
            if len(pushing.ids) == 1:
                span.set_attribute("messaging.message.id", pushing.ids[0])

    @queue.wrap
    def run_span(job: Job) -> Iterator[None]:
        pushed_in = propagate.extract(job.metadata if isinstance(job.metadata, Mapping) else {})
        pushed_by = trace.get_current_span(pushed_in).get_span_context()
        with tracer.start_as_current_span(
            f"run {job.queue}",
            context=pushed_in,
            kind=SpanKind.CONSUMER,
            attributes=_of_run(job),
            links=[Link(pushed_by)] if pushed_by.is_valid else [],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                _note(span, error)
                raise


def _of_push(pushing: Pushing) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": "push",
        "messaging.operation.type": "send",
        "messaging.destination.name": pushing.queue,
    }
    if len(pushing.names) == 1:
        return attributes | {"pyqueue.job.name": pushing.names[0]}
    return attributes | {"messaging.batch.message_count": len(pushing.names)}


def _of_run(job: Job) -> dict[str, str | int]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "pyqueue.job.name": job.name,
        "pyqueue.job.attempt": job.attempt + 1,
    }


def _note(span: Span, error: BaseException) -> None:
    """What a run raised; a verdict that nothing went wrong is none."""
    if isinstance(error, Snooze | Discard):
        return span.set_attribute("pyqueue.job.verdict", type(error).__name__.lower())
    span.set_attribute("error.type", _qualified(type(error)))
    span.record_exception(error)
    return span.set_status(Status(StatusCode.ERROR, type(error).__name__))


def _qualified(kind: type[Any]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
