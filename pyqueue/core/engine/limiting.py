"""Limits and breakers of queues, set and taken away."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from pyqueue.core import quota
from pyqueue.core.clock import to_datetime
from pyqueue.core.quota import CLOSED, HALF_OPEN, OPEN, QueueBreaker, QueueLimit
from pyqueue.core.store import breaker, keyed, limits
from pyqueue.core.store.breaker import Breaker
from pyqueue.core.store.limits import EACH_KEY, HAS_BREAKER, HOLDS_PULLS, KEY, PUSHES, SLOT, SLOT_OF_BREAKER, Limit
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.store.wakeup import ALL_WAITERS


class SetLimit(Struct, frozen=True):
    """Sets a limit in place of the one there was. Runs that are under way count; none is ended."""

    limit: Limit

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        limits.put(tx, self.limit)
        if self.limit.kind != PUSHES:
            _count_present(tx, self.limit.queue)


class ClearLimit(Struct, frozen=True):
    """Takes a limit away; gives whether there was one."""

    queue: str
    kind: int
    limit_key: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> bool:
        was_there = limits.remove(tx, self.queue, self.kind, self.limit_key)
        tx.wake(self.queue, ALL_WAITERS)
        return was_there


class SetBreaker(Struct, frozen=True):
    """Gives a queue a breaker, closed; with `failures` None takes it away."""

    queue: str
    failures: int | None
    cooldown_ms: int | None

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        breaker.put(tx, self.queue, self.failures, self.cooldown_ms)
        _count_present(tx, self.queue)


def shown(limit: Limit) -> QueueLimit:
    """A limit as users see it."""
    key = {KEY: limit.limit_key, EACH_KEY: quota.EACH_KEY}.get(limit.kind)
    rate = limit.rate
    return QueueLimit(
        limit.queue,
        key,
        limit.concurrency,
        None if rate is None else rate.rate,
        None if rate is None else rate.per_ms,
        None if rate is None else rate.burst,
        limits_pushes=limit.kind == PUSHES,
    )


def shown_breaker(found: Breaker, now_us: int) -> QueueBreaker:
    """A breaker as users see it."""
    until_us = found.open_until_us
    is_open = until_us is not None and now_us < until_us
    return QueueBreaker(
        found.failures_max,
        found.cooldown_ms,
        found.failures,
        CLOSED if until_us is None else OPEN if is_open else HALF_OPEN,
        to_datetime(until_us) if is_open and until_us is not None and until_us < breaker.NEVER_US else None,
    )


def _count_present(tx: Transaction, queue: str) -> None:
    """Lets what is there already be seen by the limits, and those who wait look again."""
    flags = tx.queue(queue).limits
    if flags & HOLDS_PULLS:
        limits.mark_slots(tx, queue, SLOT_OF_BREAKER if flags & HAS_BREAKER else SLOT)
    if flags & limits.HAS_KEYS:
        keyed.mark_unkeyed(tx, queue)
    tx.wake(queue, ALL_WAITERS)
