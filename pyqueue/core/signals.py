"""Signals: one for every transition, sent after its commit; and one for a breaker that opens.

    from pyqueue import signals

    @signals.job_failed.connect
    def on_failure(queue: PyQueue, change: JobChange) -> None: ...

The sender is the `PyQueue` handle whose process made the change; the one keyword
argument is `change`. Receivers run on a thread of their own, in the order of the
commits of this process: a slow one delays later signals, never a job, and one that
raises is logged and passed over. What other processes do is not seen here.
A signal nobody listens to costs nothing.

`schedule_fired` is sent for each moment of a schedule that this process has seen to, and for each trigger; its one
keyword argument is `run`, a `ScheduleRun`: the schedule, the moment, and the job that was pushed, or why none was.

Three more are sent around the run of a job, in the worker's process, on the thread or event loop
that runs the handler: `before_run` (job), `after_run` (job, result) and `run_failed` (job, error: whatever
was raised, verdicts such as `Snooze` and cancellation included). Each `before_run` is followed by one of
the other two. The run waits for their receivers, which must not block an event loop. They only look on:
what is to change a run is a wrap (`queue.wrap`).

blinker keeps weak references: connect a function that stays alive, or pass weak=False.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from blinker import NamedSignal, Namespace

from pyqueue.core.job import JobChange
from pyqueue.core.quota import BreakerChange
from pyqueue.core.schedule import ScheduleRun
from pyqueue.core.transitions import TRANSITIONS

log = logging.getLogger(__name__)

_namespace: Final = Namespace()


def _signal(name: str) -> NamedSignal:
    meanings = [f"{rule.meaning}" for rule in TRANSITIONS.values() if rule.signal == name]
    return _namespace.signal(name, doc="; ".join(meanings))


job_pushed: Final = _signal("job_pushed")
job_promoted: Final = _signal("job_promoted")
job_unblocked: Final = _signal("job_unblocked")
job_replaced: Final = _signal("job_replaced")
job_pulled: Final = _signal("job_pulled")
job_completed: Final = _signal("job_completed")
job_failed: Final = _signal("job_failed")
job_released: Final = _signal("job_released")
job_cancelled: Final = _signal("job_cancelled")
job_retried: Final = _signal("job_retried")
job_deleted: Final = _signal("job_deleted")

schedule_fired: Final = _namespace.signal("schedule_fired", doc="a moment of a schedule has come: see `run`")

before_run: Final = _namespace.signal("before_run", doc="a worker is about to run the handler of `job`")
after_run: Final = _namespace.signal("after_run", doc="the handler of `job` has returned `result`")
run_failed: Final = _namespace.signal("run_failed", doc="the handler of `job` has raised `error`")

# Sent with a `BreakerChange` as `change`.
breaker_opened: Final = _namespace.signal("breaker_opened", doc="a queue hands out no jobs after failures in a row")

__all__ = ["BY_EVENT", "BreakerChange", "JobChange", "ScheduleRun"]

BY_EVENT: Final = {event: _signal(rule.signal) for event, rule in TRANSITIONS.items()}


def tell(signal: NamedSignal, sender: object, **facts: Any) -> None:
    """Calls the receivers one at a time, so that one that raises keeps the signal from none of the others."""
    if signal.receivers:
        for receiver in signal.receivers_for(sender):
            try:
                receiver(sender, **facts)
            except Exception:
                log.exception("a receiver of a signal failed", extra={"signal": signal.name})
