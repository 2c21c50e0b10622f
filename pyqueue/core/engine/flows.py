"""What the end of a job means for the jobs that depend on it. Runs in the transaction that ends it.

Level by level and in few statements for each: without recursion, however deep or wide the flow is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pyqueue.core.follows import CANCEL, HAS_CHILDREN, NOTHING_FAILED, RUN
from pyqueue.core.states import BLOCKED, CANCELLED, DELAYED, DLQ, WAITING
from pyqueue.core.store import flows
from pyqueue.core.store.flows import Child
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event

T = TypeVar("T")


def parents_completed(tx: Transaction, parents: Sequence[int]) -> None:
    """Releases the children that waited for these parents only."""
    released(tx, flows.count_off(tx, parents))


def parents_ended(tx: Transaction, ended: Mapping[int, int]) -> None:
    """Goes down from parents that will not complete, given by key with their state; a deleted one counts as cancelled.

    A child ends with its parent, is cancelled, or goes on, as its `on_parent_failure` says.
    """
    level = dict(ended)
    while level:
        children = flows.blocked_children(tx, list(level))
        below = _end(tx, [child for child in children if child.policy < RUN], level)
        if any(child.policy >= RUN for child in children):
            released(tx, flows.count_off_failed(tx, list(level)))
        level = below


def skip(tx: Transaction, queues: Mapping[int, str]) -> None:
    """Cancels blocked jobs, given by key with their queue, that wait for a failure when none can come any more."""
    flows.end_blocked(tx, [(key, CANCELLED, NOTHING_FAILED) for key in queues])
    _skipped(tx, queues)


def _skipped(tx: Transaction, queues: Mapping[int, str]) -> None:
    for queue, keys in _by(queues.values(), queues).items():
        tx.announce(Change(Event.CASCADE, queue, keys, BLOCKED, CANCELLED, error=NOTHING_FAILED))
    parents_ended(tx, dict.fromkeys(queues, CANCELLED))


def released(tx: Transaction, rows: Sequence[tuple[int, str, int, int | None]]) -> None:
    """Says what became of jobs with one parent less to wait for: (key, queue, state, run_at) of each."""
    free = [row for row in rows if row[2] in (WAITING, DELAYED)]
    for (queue, state), keys in _by(((row[1], row[2]) for row in free), (row[0] for row in free)).items():
        tx.announce(Change(Event.UNBLOCK, queue, keys, BLOCKED, state))
        if state == WAITING:
            tx.wake(queue, len(keys))
    for _, _, state, run_us in free:
        if state == DELAYED and run_us is not None:
            tx.due(run_us)
    skipped = {key: queue for key, queue, state, _ in rows if state == CANCELLED}
    if skipped:
        _skipped(tx, skipped)


def _end(tx: Transaction, children: Sequence[Child], parents: Mapping[int, int]) -> dict[int, int]:
    """Ends blocked jobs with their parents; gives those that have children themselves, with their new state."""
    rows = [(child.key, _target(child, parents), _reason(tx, child, parents)) for child in children]
    flows.end_blocked(tx, rows)
    told = ((child.queue, state, reason) for child, (_, state, reason) in zip(children, rows, strict=True))
    for (queue, state, reason), keys in _by(told, (child.key for child in children)).items():
        tx.announce(Change(Event.CASCADE, queue, keys, BLOCKED, state, error=reason))
    return {key: state for child, (key, state, _) in zip(children, rows, strict=True) if child.on_finish & HAS_CHILDREN}


def _target(child: Child, parents: Mapping[int, int]) -> int:
    return DLQ if parents[child.parent] == DLQ and child.policy != CANCEL else CANCELLED


def _reason(tx: Transaction, child: Child, parents: Mapping[int, int]) -> str:
    fate = "moved to DLQ" if parents[child.parent] == DLQ else "was cancelled or deleted"
    return f"parent job '{tx.text_of(child.parent)}' {fate}"


def _by(names: Iterable[T], keys: Iterable[int]) -> dict[T, list[int]]:
    """The keys of each name, in order."""
    together: dict[T, list[int]] = {}
    for name, key in zip(names, keys, strict=True):
        together.setdefault(name, []).append(key)
    return {name: sorted(its) for name, its in together.items()}
