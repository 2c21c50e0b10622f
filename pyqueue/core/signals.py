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

from typing import Final

from blinker import NamedSignal, Namespace

from pyqueue.core.job import JobChange
from pyqueue.core.transitions import TRANSITIONS

_namespace: Final = Namespace()


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

__all__ = ["BY_EVENT", "JobChange"]

BY_EVENT: Final = {event: _signal(rule.signal) for event, rule in TRANSITIONS.items()}
