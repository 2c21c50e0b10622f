"""What a server counts of itself: requests, how long they took, and what was refused.

Written on the event loop only, without a lock, and cheap: it is beside every request. What concerns queues is not
counted here, since other processes work on them too; see `PyQueue.figures`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from pyqueue.core.engine.finish import Ack
from pyqueue.core.engine.looking import Checked
from pyqueue.core.engine.pull import PullToPassOn
from pyqueue.core.engine.push import Push
from pyqueue.core.engine.push_each import PushEach
from pyqueue.core.errors import RateLimited
from pyqueue.core.queue import PyQueue
from pyqueue.core.store.operation import Operation
from pyqueue.web.request import Plan

# In seconds: from a commit without a flush, to a disk in trouble.
BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CALLS: Final[dict[Callable[..., Any], str]] = {
    PyQueue.push: "push",
    PyQueue.push_many: "push",
    PyQueue.pull: "pull",
    PyQueue.ack: "ack",
    PyQueue.ack_many: "ack",
}
_OPERATIONS: Final[dict[type, str]] = {Push: "push", PushEach: "push", PullToPassOn: "pull", Ack: "ack"}


class Histogram:
    """Durations, counted by size."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float, number: int = 1) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += number
        self.sum += seconds * number


class Measures:
    """The figures of one server process."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()  # by method and class of status
        self.request_durations: dict[str, Histogram] = {}  # by method
        self.operation_durations: dict[tuple[str, str], Histogram] = {}  # by operation and transport
        self.rate_limited: Counter[str] = Counter()  # by queue: only queues with a limit get here
        self.gauges: dict[str, Callable[[], float | None]] = {}  # read when somebody asks; None is "not known"

    def answered(self, method: str, status: int, seconds: float | None) -> None:
        """A request over HTTP was; `seconds` None: a long poll, whose time is a measure of nothing."""
        method = method if method in _METHODS else "other"
        self.requests[method, f"{status // 100}xx" if 200 <= status < 600 else "other"] += 1
        if seconds is None:
            return
        histogram = self.request_durations.get(method)
        if histogram is None:
            histogram = self.request_durations[method] = Histogram()
        histogram.observe(seconds)

    def carried_out(self, plan: Plan[Any], seconds: float) -> None:
        """What a request over HTTP asked for was done."""
        name = _CALLS.get(plan.call.method)
        if name is not None:
            self._took(name, "http", seconds)

    def refused(self, queue: str | None) -> None:
        """A call was, by the limit of a queue for pushes."""
        if queue is not None:
            self.rate_limited[queue] += 1

    def committed(self, operations: Sequence[Operation[Any]], outcomes: Sequence[Any], seconds: float) -> None:
        """Operations of TCP clients were, together."""
        kinds = Counter(map(type, operations))
        if Checked in kinds:
            operations = [each.operation if type(each) is Checked else each for each in operations]
            kinds = Counter(map(type, operations))
        for kind, number in kinds.items():
            if kind in _OPERATIONS:
                self._took(_OPERATIONS[kind], "tcp", seconds, number)
        for operation, outcome in zip(operations, outcomes, strict=True):
            if type(outcome) is RateLimited and isinstance(operation, Push | PushEach):
                self.rate_limited[operation.queue] += 1
            elif type(operation) is PushEach and type(outcome) is list and RateLimited in map(type, outcome):
                self.rate_limited[operation.queue] += sum(type(each) is RateLimited for each in outcome)

    def _took(self, operation: str, transport: str, seconds: float, number: int = 1) -> None:
        histogram = self.operation_durations.get((operation, transport))
        if histogram is None:
            histogram = self.operation_durations[operation, transport] = Histogram()
        histogram.observe(seconds, number)
