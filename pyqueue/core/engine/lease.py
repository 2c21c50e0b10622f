"""A worker's signs of life, and what happens without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec import Struct

from pyqueue.core.clock import to_datetime
from pyqueue.core.engine.finish import Ref, fail_run, refusal, require_run
from pyqueue.core.errors import PyQueueError
from pyqueue.core.job import FailResult, HeartbeatResult
from pyqueue.core.states import ACTIVE
from pyqueue.core.store import finish, lease
from pyqueue.core.store.finish import Run
from pyqueue.core.store.lease import Extended
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.store.wakeup import ALL_WAITERS, log_topic
from pyqueue.core.transitions import Event


class Heartbeat(Struct, frozen=True):
    """Extends leases, each by itself: gives the lease, or the error it was refused with, for each, in order."""

    refs: tuple[Ref, ...]
    lease_ms: int

    durable: ClassVar[bool] = False

    def only(self, places: Sequence[int]) -> Heartbeat:
        """The same for some of the jobs."""
        return Heartbeat(tuple(self.refs[place] for place in places), self.lease_ms)

    def run(self, tx: Transaction) -> list[HeartbeatResult | PyQueueError]:
        keys = [_key_of(tx, ref) for ref in self.refs]
        until_us = tx.now_us + self.lease_ms * 1_000
        leases = [(key, ref.lease) for key, ref in zip(keys, self.refs, strict=True) if isinstance(key, int)]
        extended = lease.extend(tx, leases, until_us)
        if extended:
            tx.due(until_us)
        return [_answer(tx, key, ref, extended) for key, ref in zip(keys, self.refs, strict=True)]


def _key_of(tx: Transaction, ref: Ref) -> int | PyQueueError:
    try:
        return ref.key(tx)
    except PyQueueError as error:
        return error


def _answer(
    tx: Transaction, key: int | PyQueueError, ref: Ref, extended: Mapping[int, Extended]
) -> HeartbeatResult | PyQueueError:
    if not isinstance(key, int):
        return key
    found = extended.get(key)
    # One call may hold a lost run of a job beside its present one: the token tells whose lease that was.
    if found is None or ref.lease not in (None, found.token):
        return refusal(tx, key, ref)
    return HeartbeatResult(to_datetime(found.until_us), found.is_cancel_requested)


class Progress(Struct, frozen=True):
    """Notes how far a run has come, a message for the job's log, or both. No sign of life: that is `Heartbeat`.

    Raises:
        JobNotFound, InvalidState, LeaseLost.
    """

    ref: Ref
    percent: int | None
    message: str | None

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> None:
        key = self.ref.key(tx)
        if not lease.report(tx, key, self.ref.lease, self.percent):
            raise refusal(tx, key, self.ref)
        if self.message is not None:
            lease.add_log(tx, key, self.message)
            tx.wake(log_topic(key), ALL_WAITERS)


class TimeOut(Struct, frozen=True):
    """Ends a run as housekeeping does when its timeout is over: for a worker that watches the clock itself.

    Raises:
        JobNotFound, InvalidState, LeaseLost.
    """

    ref: Ref

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> FailResult:
        key = self.ref.key(tx)
        run = require_run(tx, key, self.ref)
        return fail_run(tx, key, run, _timed_out_text(run), Event.TIMEOUT)


def end_lapsed(tx: Transaction, limit: int) -> Sequence[Event]:
    """Fails the runs whose lease or timeout is over, up to `limit`; gives the event of each."""
    events = []
    for key in lease.lapsed(tx, limit):
        run = finish.run_of(tx, key)
        if run is None or run.state != ACTIVE:
            continue  # Ended as a dependant of a job before it in this very sweep.
        event, error = _verdict(tx, run)
        fail_run(tx, key, run, error, event)
        events.append(event)
    return events


def _verdict(tx: Transaction, run: Run) -> tuple[Event, str]:
    if run.timeout_ms is not None and run.started_us is not None:
        deadline_us = run.started_us + run.timeout_ms * 1_000
        if tx.now_us >= deadline_us:
            return Event.TIMEOUT, _timed_out_text(run)
    worker = run.worker_id or "unnamed"
    return Event.STALL, f"job stalled (no heartbeat): worker {worker} was not heard of before its lease ended"


def _timed_out_text(run: Run) -> str:
    return f"job timed out after {run.timeout_ms} ms"
