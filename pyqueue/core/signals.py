"""Signals: one for every transition, sent after its commit.

    from pyqueue import signals

    @signals.job_failed.connect
    def on_failure(queue: PyQueue, change: JobChange) -> None: ...

The sender is the `PyQueue` handle whose process made the change; the one keyword
argument is `change`. Receivers run on a thread of their own, in the order of the
commits of this process: a slow one delays later signals, never a job, and one that
raises is logged and passed over. What other processes do is not seen here.
A signal nobody listens to costs nothing.

blinker keeps weak references: connect a function that stays alive, or pass weak=False.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from blinker import NamedSignal, Namespace

from pyqueue.core.clock import to_datetime
from pyqueue.core.states import JobState
from pyqueue.core.transitions import TRANSITIONS, Event

_namespace: Final = Namespace()


class JobChange(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one job, as it was committed.

    `state` is the state after the change (None after a delete). `error` is set where a
    failure, an expiry or a cascade wrote one; `worker_id` where a worker was involved
    and is known.
    """

    event: Event
    job_id: str
    queue: str
    state: JobState | None
    at_us: int
    error: str | None = None
    worker_id: str | None = None

    @property
    def at(self) -> datetime:
        """The moment of the change: aware, UTC."""
        return to_datetime(self.at_us)


def _signal(name: str) -> NamedSignal:
    meanings = [f"{rule.meaning}" for rule in TRANSITIONS.values() if rule.signal == name]
    return _namespace.signal(name, doc="; ".join(meanings))


job_pushed: Final = _signal("job_pushed")
job_promoted: Final = _signal("job_promoted")
job_unblocked: Final = _signal("job_unblocked")
job_pulled: Final = _signal("job_pulled")
job_completed: Final = _signal("job_completed")
job_failed: Final = _signal("job_failed")
job_released: Final = _signal("job_released")
job_cancelled: Final = _signal("job_cancelled")
job_retried: Final = _signal("job_retried")
job_deleted: Final = _signal("job_deleted")

BY_EVENT: Final = {event: _signal(rule.signal) for event, rule in TRANSITIONS.items()}
