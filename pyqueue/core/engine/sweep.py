"""What falls due by itself: delays that end, jobs that expire, leases that lapse, old jobs to remove.

Each function does a bounded piece of work in the caller's transaction and says how much it did.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pyqueue.core.engine import flows, lease
from pyqueue.core.follows import HAS_CHILDREN
from pyqueue.core.states import CANCELLED, DELAYED, WAITING
from pyqueue.core.store import claim, finish
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event

EXPIRED: Final = "expired: not started within its ttl_ms"


class Swept(NamedTuple):
    """What one sweep did; `is_full` when it stopped at its limit and there may be more."""

    promoted: int
    expired: int
    stalled: int
    timed_out: int
    is_full: bool


def due(tx: Transaction, limit: int, queue: str = "") -> Swept:
    """Ends delays, lives and leases that are over, up to `limit` of each, in all queues.

    Every pull does this first, so that nothing waits for housekeeping where jobs are being pulled. It names the
    `queue` that it looks at next.
    """
    promotable, expirable, lapsed = claim.anything_due(tx, queue)
    expired = expire(tx, limit) if expirable else 0
    promoted = promote(tx, limit) if promotable else 0
    ended = lease.end_lapsed(tx, limit) if lapsed else ()
    return Swept(
        promoted,
        expired,
        sum(event is Event.STALL for event in ended),
        sum(event is Event.TIMEOUT for event in ended),
        limit in (promoted, expired, len(ended)),
    )


def promote(tx: Transaction, limit: int) -> int:
    """delayed → waiting."""
    promoted = claim.promote(tx, limit)
    for queue, keys in _by_queue(promoted).items():
        tx.announce(Change(Event.PROMOTE, queue, keys, DELAYED, WAITING))
        tx.wake(queue, len(keys))
    return len(promoted)


def expire(tx: Transaction, limit: int) -> int:
    """waiting, delayed, blocked → cancelled, where the ttl is over."""
    rows = claim.expired(tx, limit)
    finish.withdraw(tx, [row[0] for row in rows], EXPIRED)
    for key, queue, state, _ in rows:
        tx.announce(Change(Event.EXPIRE, queue, (key,), state, CANCELLED, error=EXPIRED))
    flows.parents_ended(tx, {key: CANCELLED for key, _, _, on_finish in rows if on_finish & HAS_CHILDREN})
    return len(rows)


def _by_queue(rows: list[tuple[int, str]]) -> dict[str, list[int]]:
    queues: dict[str, list[int]] = {}
    for key, queue in rows:
        queues.setdefault(queue, []).append(key)
    return queues
