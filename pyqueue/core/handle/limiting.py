"""Limits of queues: how many jobs run at once, begin, or are pushed; and circuit breakers."""

from __future__ import annotations

import math

from pyqueue.core import limits, validate
from pyqueue.core.bucket import Rate
from pyqueue.core.engine.limiting import ClearLimit, SetBreaker, SetLimit
from pyqueue.core.engine.queues import limits_by_queue
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.quota import EACH_KEY, QueueLimit
from pyqueue.core.store.limits import EACH_KEY as OF_EACH_KEY
from pyqueue.core.store.limits import KEY, PULLS, PUSHES, Limit
from pyqueue.core.validate import integer, shown


class Limiting:
    """The part of a handle that limits queues. What is set lies in the database and holds for every process."""

    _runtime: Runtime

    def set_limit(
        self,
        queue: str,
        *,
        key: str | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        per_ms: int = 1_000,
        burst: int | None = None,
    ) -> None:
        """Lets at most `concurrency` jobs of a queue run at once, and at most `rate` per `per_ms` begin.

        After a pause up to `burst` may begin together (default: the rate, rounded up). With `key` it is the limit of
        the jobs with this `limit_key`, with "*" that of each key by itself, unless it has its own; all limits of a job
        must allow it. What was set before for the same queue and key is replaced, in whole.
        """
        self._runtime.write(_set_limit(queue, key, concurrency, rate, per_ms, burst))

    async def aset_limit(
        self,
        queue: str,
        *,
        key: str | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        per_ms: int = 1_000,
        burst: int | None = None,
    ) -> None:
        """`set_limit` for event loops."""
        await self._runtime.awrite(_set_limit(queue, key, concurrency, rate, per_ms, burst))

    def clear_limit(self, queue: str, *, key: str | None = None) -> bool:
        """Takes away what `set_limit` has set; False if there was nothing."""
        return self._runtime.write(_clear_limit(queue, key))

    async def aclear_limit(self, queue: str, *, key: str | None = None) -> bool:
        """`clear_limit` for event loops."""
        return await self._runtime.awrite(_clear_limit(queue, key))

    def set_push_limit(self, queue: str, *, rate: float, per_ms: int = 1_000, burst: int | None = None) -> None:
        """Takes at most `rate` jobs per `per_ms`, and up to `burst` together (default: the rate, rounded up).

        A push beyond it raises RateLimited and stores nothing. A batch of n counts as n, so one of
        more than `burst` is always refused.
        """
        self._runtime.write(_set_push_limit(queue, rate, per_ms, burst))

    async def aset_push_limit(self, queue: str, *, rate: float, per_ms: int = 1_000, burst: int | None = None) -> None:
        """`set_push_limit` for event loops."""
        await self._runtime.awrite(_set_push_limit(queue, rate, per_ms, burst))

    def clear_push_limit(self, queue: str) -> bool:
        """Takes away what `set_push_limit` has set; False if there was nothing."""
        return self._runtime.write(ClearLimit(validate.queue_name(queue), PUSHES, ""))

    async def aclear_push_limit(self, queue: str) -> bool:
        """`clear_push_limit` for event loops."""
        return await self._runtime.awrite(ClearLimit(validate.queue_name(queue), PUSHES, ""))

    def limits(self, queue: str | None = None) -> list[QueueLimit]:
        """The limits of a queue, or all there are, by queue and key."""
        wanted = None if queue is None else validate.queue_name(queue)
        return _flat(self._runtime.read(limits_by_queue), wanted)

    async def alimits(self, queue: str | None = None) -> list[QueueLimit]:
        """`limits` for event loops."""
        wanted = None if queue is None else validate.queue_name(queue)
        return _flat(await self._runtime.aread(limits_by_queue), wanted)

    def set_breaker(self, queue: str, *, failures: int, cooldown_ms: int | None = 60_000) -> None:
        """Hands out nothing of a queue for `cooldown_ms` once `failures` of its runs have failed in a row.

        Then one job at a time is tried: if it fails, the wait begins anew; if it succeeds, all is as before.
        With `cooldown_ms` None the queue waits for `resume`. What other runs do meanwhile counts as well.
        """
        self._runtime.write(_set_breaker(queue, failures, cooldown_ms))

    async def aset_breaker(self, queue: str, *, failures: int, cooldown_ms: int | None = 60_000) -> None:
        """`set_breaker` for event loops."""
        await self._runtime.awrite(_set_breaker(queue, failures, cooldown_ms))

    def clear_breaker(self, queue: str) -> None:
        """Takes the breaker of a queue away; one that is open no longer holds anything."""
        self._runtime.write(SetBreaker(validate.queue_name(queue), None, None))

    async def aclear_breaker(self, queue: str) -> None:
        """`clear_breaker` for event loops."""
        await self._runtime.awrite(SetBreaker(validate.queue_name(queue), None, None))


def _set_limit(
    queue: str, key: str | None, concurrency: int | None, rate: float | None, per_ms: int, burst: int | None
) -> SetLimit:
    if concurrency is None and rate is None:
        raise ValidationError("set_limit got neither concurrency nor rate; expected at least one of them.")
    if concurrency is not None:
        integer(concurrency, "concurrency", 1, limits.CONCURRENCY_MAX)
    if burst is not None and rate is None:
        raise ValidationError("set_limit got a burst without a rate; expected both, or neither.")
    kind, limit_key = _target(key)
    allowed = None if rate is None else _rate(rate, per_ms, burst)
    return SetLimit(Limit(validate.queue_name(queue), kind, limit_key, concurrency, allowed))


def _clear_limit(queue: str, key: str | None) -> ClearLimit:
    return ClearLimit(validate.queue_name(queue), *_target(key))


def _target(key: str | None) -> tuple[int, str]:
    if key is None:
        return PULLS, ""
    return (OF_EACH_KEY, "") if key == EACH_KEY else (KEY, validate.text(key, "key", limits.LABEL_BYTES_MAX))


def _set_push_limit(queue: str, rate: float, per_ms: int, burst: int | None) -> SetLimit:
    return SetLimit(Limit(validate.queue_name(queue), PUSHES, "", None, _rate(rate, per_ms, burst)))


def _rate(rate: float, per_ms: int, burst: int | None) -> Rate:
    integer(per_ms, "per_ms", 1, limits.DURATION_MS_MAX)
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool) and math.isfinite(rate)
    # One token in the longest time there is, or one in each microsecond: beyond that nothing is limited.
    if not is_number or not per_ms / limits.DURATION_MS_MAX <= rate <= per_ms * 1_000:
        raise ValidationError(
            f"rate {shown(rate)} per {per_ms} ms; expected a number above 0, and at most a job in each microsecond."
        )
    number = math.ceil(rate) if burst is None else integer(burst, "burst", 1, limits.BURST_MAX)
    return Rate(float(rate), per_ms, min(number, limits.BURST_MAX))


def _set_breaker(queue: str, failures: int, cooldown_ms: int | None) -> SetBreaker:
    integer(failures, "failures", 1, limits.ATTEMPTS_MAX)
    if cooldown_ms is not None:
        integer(cooldown_ms, "cooldown_ms", 1, limits.DURATION_MS_MAX)
    return SetBreaker(validate.queue_name(queue), failures, cooldown_ms)


def _flat(by_queue: dict[str, list[QueueLimit]], queue: str | None) -> list[QueueLimit]:
    return [limit for name, found in by_queue.items() if queue in (None, name) for limit in found]
