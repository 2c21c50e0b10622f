"""How many jobs may be pushed to a queue: a token for each, all or nothing."""

from __future__ import annotations

from typing import NamedTuple

from pyqueue.core.clock import to_datetime
from pyqueue.core.errors import RateLimited
from pyqueue.core.store import limits
from pyqueue.core.store.limits import PUSHES
from pyqueue.core.store.transaction import Transaction


class Tokens(NamedTuple):
    """Tokens that are there to be taken, and when the bucket will be full again after that."""

    queue: str
    full_us: int


def tokens_for(tx: Transaction, queue: str, number: int) -> Tokens | None:
    """The tokens for a push of `number` jobs.

    Raises:
        RateLimited: there are not as many.
    """
    limit = limits.hold_kind(tx, queue, PUSHES)
    if limit is None or limit.rate is None:
        return None
    rate, full_us = limit.rate, limits.bucket(tx, queue, PUSHES)
    if rate.free(full_us, tx.now_us) >= number:
        return Tokens(queue, rate.after(full_us, tx.now_us, number))
    takes = f"queue {queue!r} takes {rate.rate:g} jobs per {rate.per_ms:,} ms and at most {rate.burst:,} at once"
    if number > rate.burst:
        raise RateLimited(f"{takes}; {number:,} were pushed together. Push fewer at a time.")
    moment = to_datetime(rate.next_us(full_us or 0, number))
    raise RateLimited(f"{takes}; {number:,} more can be pushed from {moment:%H:%M:%S.%f} UTC. Try again then.")


def take(tx: Transaction, tokens: Tokens) -> None:
    """Takes them."""
    limits.fill(tx, [(tokens.queue, PUSHES, "", tokens.full_us)])
