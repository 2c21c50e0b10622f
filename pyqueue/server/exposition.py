"""The metrics as Prometheus reads them.

Figures of queues come from the database: they count what all processes did, and every server on one database shows
the same, so they are not to be summed over servers. Figures of requests are those of this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final, Literal, NamedTuple

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pyqueue.core import webhook
from pyqueue.core.figures import Figures, Total
from pyqueue.core.job import QueueInfo
from pyqueue.core.states import JobState
from pyqueue.core.transitions import Event
from pyqueue.server.measures import BOUNDS, Histogram, Measures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Each is a dozen series that Prometheus keeps for weeks. Queues beyond it are left out, and counted.
QUEUES_MAX: Final = 1_000


class Metric(NamedTuple):
    """What is told of a metric. The names of those of RustQueue are kept, but for the prefix."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str


_RUNS_FAILED: Final = frozenset({Event.FAIL, Event.STALL, Event.TIMEOUT})
_AGAIN: Final = frozenset({JobState.WAITING, JobState.DELAYED})

# Sums of the event log, by queue: which totals each of them takes.
_COUNTED: Final[tuple[tuple[Metric, Callable[[Total], bool]], ...]] = tuple(
    (Metric(f"pyqueue_{name}_total", "counter", ("queue",), meaning), takes)
    for name, meaning, takes in (
        ("jobs_pushed", "jobs stored", lambda total: total.event is Event.PUSH),
        ("jobs_pulled", "jobs handed out", lambda total: total.event is Event.PULL),
        ("jobs_completed", "jobs acknowledged", lambda total: total.event is Event.ACK),
        (
            "jobs_failed", "runs that failed, timed out or lost their lease, retried or not",
            lambda total: total.event in _RUNS_FAILED,
        ),
        (
            "jobs_retried", "failed runs after which the job is tried again",
            lambda total: total.event in _RUNS_FAILED and total.state in _AGAIN,
        ),
        ("jobs_dead", "jobs that became dead letters", lambda total: total.state is JobState.DLQ),
        ("jobs_cancelled", "jobs withdrawn or expired", lambda total: total.state is JobState.CANCELLED),
        ("jobs_released", "runs given back unfinished", lambda total: total.event is Event.RELEASE),
        ("jobs_timed_out", "runs longer than their timeout", lambda total: total.event is Event.TIMEOUT),
        ("leases_expired", "runs whose lease ended without a heartbeat", lambda total: total.event is Event.STALL),
    )
)  # fmt: skip

_QUEUE_GAUGES: Final[tuple[tuple[Metric, Callable[[QueueInfo], int]], ...]] = tuple(
    (Metric(f"pyqueue_queue_{name}", "gauge", ("queue",), meaning), value)
    for name, meaning, value in (
        ("waiting_jobs", "jobs that can be pulled", lambda queue: queue.counts.waiting),
        ("active_jobs", "jobs that run", lambda queue: queue.counts.active),
        ("delayed_jobs", "jobs that wait for their time", lambda queue: queue.counts.delayed),
        ("blocked_jobs", "jobs that wait for others", lambda queue: queue.counts.blocked),
        ("dlq_jobs", "dead letters", lambda queue: queue.counts.dlq),
        ("paused", "1 if pushes or pulls are paused", lambda queue: int(queue.is_paused)),
    )
)

_AGE: Final = Metric("pyqueue_queue_age_seconds", "gauge", ("queue",), "how long the next job has been ready; 0: none")
_LAPSED: Final = Metric("pyqueue_queue_lapsed_leases", "gauge", ("queue",), "runs to be taken back: lease is over")
_LEFT_OUT: Final = Metric("pyqueue_queues_left_out", "gauge", (), f"queues beyond the first {QUEUES_MAX:,} by name")
_WORKERS: Final = Metric("pyqueue_workers_alive", "gauge", (), "workers heard of within half a minute")
_DELIVERED: Final = Metric("pyqueue_webhooks_delivered_total", "counter", (), "deliveries that were taken")
_UNDELIVERED: Final = Metric(
    "pyqueue_webhooks_delivery_failures_total", "counter", (), "deliveries given up, after the last try"
)
_FIRED: Final = Metric("pyqueue_schedules_fired_total", "counter", ("schedule",), "jobs pushed by a schedule")
_OF_QUEUES: Final = (
    *(metric for metric, _ in _COUNTED), *(metric for metric, _ in _QUEUE_GAUGES), _AGE, _LAPSED, _LEFT_OUT, _WORKERS,
    _FIRED, _DELIVERED, _UNDELIVERED,
)  # fmt: skip

_REFUSED: Final = Metric("pyqueue_rate_limit_rejected_total", "counter", ("queue",), "calls refused by a push limit")
_REQUESTS: Final = Metric(
    "pyqueue_http_requests_total", "counter", ("method", "status_class"), "requests answered; not preflights"
)
_REQUEST: Final = Metric(
    "pyqueue_http_request_duration_seconds", "histogram", ("method",), "until the reply is sent; not long polls"
)
_OPERATIONS: Final = {
    name: Metric(f"pyqueue_{name}_duration_seconds", "histogram", ("transport",), meaning)
    for name, meaning in (
        ("push", "a push or a batch of them, until it is committed"),
        ("pull", "a pull that does not wait"),
        ("ack", "an acknowledgement or a batch of them, until it is committed"),
    )
}
_GAUGES: Final = {
    name: Metric(f"pyqueue_{name}", "gauge", (), meaning)
    for name, meaning in (
        ("websocket_clients_connected", "those who follow the events over a WebSocket"),
        ("sse_clients_connected", "those who follow the events as server-sent events"),
        ("tcp_clients_connected", "connections of the TCP protocol"),
        ("scheduler_tick_duration_seconds", "the last pass of housekeeping, where this process does it"),
    )
}
_OF_PROCESS: Final = (_REFUSED, _REQUESTS, _REQUEST, *_OPERATIONS.values(), *_GAUGES.values())

METRICS: Final[tuple[Metric, ...]] = (*_OF_QUEUES, *_OF_PROCESS)


def text(measures: Measures, figures: Figures) -> bytes:
    """All metrics, in the text format."""
    return generate_latest(_Snapshot(measures, figures))


class _Snapshot(Collector):
    """One look at everything."""

    def __init__(self, measures: Measures, figures: Figures) -> None:
        self._measures = measures
        self._figures = figures

    def collect(self) -> Iterator[Family]:
        yield from _queues(self._figures)
        yield from _process(self._measures)


def _queues(figures: Figures) -> Iterator[Family]:
    names = sorted({queue.name for queue in figures.queues} | {total.queue for total in figures.totals})
    shown = frozenset(names[:QUEUES_MAX])
    totals = [total for total in figures.totals if total.queue in shown]
    queues = [queue for queue in figures.queues if queue.name in shown]
    for metric, takes in _COUNTED:
        sums: dict[str, int] = {}
        for total in totals:
            if takes(total):
                sums[total.queue] = sums.get(total.queue, 0) + total.jobs
        yield _family(metric, (((queue,), number) for queue, number in sums.items()))
    for metric, value in _QUEUE_GAUGES:
        yield _family(metric, (((queue.name,), value(queue)) for queue in queues))
    ages, lapsed = figures.ages_us, figures.lapsed
    yield _family(_AGE, (((queue.name,), ages.get(queue.name, 0) / 1_000_000) for queue in queues))
    yield _family(_LAPSED, (((queue.name,), lapsed.get(queue.name, 0)) for queue in queues))
    yield _family(_LEFT_OUT, [((), max(0, len(names) - QUEUES_MAX))])
    yield _family(_WORKERS, [((), figures.workers)])
    yield _family(_FIRED, (((name,), number) for name, number in sorted(figures.fired.items())))
    deliveries = [total for total in figures.totals if total.queue == webhook.QUEUE]
    yield _family(_DELIVERED, [((), sum(each.jobs for each in deliveries if each.event is Event.ACK))])
    yield _family(_UNDELIVERED, [((), sum(each.jobs for each in deliveries if each.state is JobState.DLQ))])


def _process(measures: Measures) -> Iterator[Family]:
    # Copies, in one step each: the event loop goes on counting meanwhile.
    yield _family(_REFUSED, (((queue,), number) for queue, number in list(measures.rate_limited.items())))
    yield _family(_REQUESTS, list(measures.requests.items()))
    yield _histogram(_REQUEST, [((method,), found) for method, found in list(measures.request_durations.items())])
    durations = list(measures.operation_durations.items())
    for operation, metric in _OPERATIONS.items():
        yield _histogram(metric, [((transport,), found) for (name, transport), found in durations if name == operation])
    for name, metric in _GAUGES.items():
        value = measures.gauges[name]() if name in measures.gauges else None
        yield _family(metric, [] if value is None else [((), value)])


def _family(metric: Metric, samples: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, f"{metric.meaning}.", labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, samples: Iterable[tuple[tuple[str, ...], Histogram]]) -> Family:
    family = HistogramMetricFamily(metric.name, f"{metric.meaning}.", labels=metric.labels)
    bounds = [*map(str, BOUNDS), "+Inf"]
    for labels, histogram in samples:
        family.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
    return family
