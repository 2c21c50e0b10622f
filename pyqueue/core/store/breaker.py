"""Circuit breakers: how many runs of a queue failed in a row, and until when none is handed out."""

from __future__ import annotations

from typing import Final, NamedTuple

from pyqueue.core.store import limits
from pyqueue.core.store.transaction import Transaction

# A breaker without a cool-down stays open until somebody resumes the queue.
NEVER_US: Final = 2**62

_READ: Final = """
    SELECT breaker_failures, breaker_cooldown_ms, failures, breaker_until FROM pyqueue_queue
    WHERE name = ? AND breaker_failures IS NOT NULL
"""
_HOLD: Final = f"{_READ} /*pg FOR UPDATE*/"
_ALL: Final = """
    SELECT name, breaker_failures, breaker_cooldown_ms, failures, breaker_until FROM pyqueue_queue
    WHERE breaker_failures IS NOT NULL
"""
_SET: Final = """
    UPDATE pyqueue_queue SET breaker_failures = ?, breaker_cooldown_ms = ?, failures = 0, breaker_until = NULL
    WHERE name = ?
"""
_COUNT: Final = """
    UPDATE pyqueue_queue SET failures = failures + 1 WHERE name = ? AND breaker_failures IS NOT NULL
    RETURNING failures, breaker_failures, breaker_cooldown_ms
"""
_OPEN: Final = "UPDATE pyqueue_queue SET breaker_until = ? WHERE name = ?"
_CLOSE: Final = """
    UPDATE pyqueue_queue SET failures = 0, breaker_until = NULL
    WHERE name = ? AND (failures > 0 OR breaker_until IS NOT NULL)
    RETURNING limits
"""
_TRIAL: Final = """
    SELECT id FROM pyqueue_job WHERE state = 3 AND slot IS NOT NULL AND queue = ? AND started_at >= ? LIMIT 1
"""


class Breaker(NamedTuple):
    """A breaker and where it stands. `open_until_us` None: closed; over: the next run is a trial."""

    failures_max: int
    cooldown_ms: int | None
    failures: int
    open_until_us: int | None


def of_queue(tx: Transaction, queue: str) -> Breaker | None:
    """The breaker of a queue, if it has one."""
    row = tx.row(_READ, (queue,))
    return None if row is None else Breaker(*row)


def hold(tx: Transaction, queue: str) -> Breaker | None:
    """The same, until the end of the transaction."""
    row = tx.row(_HOLD, (queue,))
    return None if row is None else Breaker(*row)


def of_all(tx: Transaction) -> list[tuple[str, Breaker]]:
    """Every breaker, with its queue."""
    return [(row[0], Breaker(*row[1:])) for row in tx.rows(_ALL)]


def put(tx: Transaction, queue: str, failures: int | None, cooldown_ms: int | None) -> None:
    """Gives a queue a breaker, closed; with None takes it away."""
    limits.reflag(tx, queue)  # Also sees to it that the queue has a row.
    tx.execute(_SET, (failures, cooldown_ms, queue))
    limits.reflag(tx, queue)


def count_failure(tx: Transaction, queue: str) -> tuple[int, int] | None:
    """Counts a failed run; gives the number of them and until when the breaker is open now, if it is."""
    row = tx.row(_COUNT, (queue,))
    if row is None or row[0] < row[1]:
        return None
    failures, _, cooldown_ms = row
    until_us = NEVER_US if cooldown_ms is None else tx.now_us + cooldown_ms * 1_000
    tx.execute(_OPEN, (until_us, queue))
    return failures, until_us


def close(tx: Transaction, queue: str) -> bool:
    """Forgets the failures; False if there were none."""
    return tx.row(_CLOSE, (queue,)) is not None


def trial(tx: Transaction, queue: str, since_us: int) -> int | None:
    """The run that tries whether a queue works again."""
    row = tx.row(_TRIAL, (queue, since_us))
    return None if row is None else int(row[0])
