"""Retry: dead and cancelled jobs go round again, and with them those that never ran because of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush

from pyqueue.core.errors import DuplicateKey, InvalidState, StateError
from pyqueue.core.job import Job
from pyqueue.core.states import STATES, WAITING
from pyqueue.core.store import flows, insert, keyed
from pyqueue.core.store.flows import Ended
from pyqueue.core.store.limits import HAS_KEYS
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event


def revive(tx: Transaction, keys: Sequence[int]) -> set[int]:
    """Sends these jobs round again, and whatever ended only because of them; gives all that were.

    Left as they are: jobs with a parent that has ended otherwise, jobs whose unique key another one holds, and what
    waits for such jobs. Of two with one unique key the older is revived.
    """
    candidates = _with_descendants(tx, keys)
    chosen = _choose(tx, candidates)
    if not chosen:
        return set()
    states = flows.revive(tx, chosen)
    for key in chosen:
        if tx.queue(candidates[key].queue).limits & HAS_KEYS:
            keyed.mark_one(tx, key)
    together: dict[tuple[str, int, int], list[int]] = {}
    for key in sorted(chosen):
        together.setdefault((candidates[key].queue, candidates[key].state, states[key]), []).append(key)
    for (queue, source, state), its in together.items():
        tx.announce(Change(Event.RETRY, queue, its, source, state))
        if state == WAITING:
            tx.wake(queue, len(its))
    return set(chosen)


def _with_descendants(tx: Transaction, keys: Sequence[int]) -> dict[int, Ended]:
    """The jobs, and those that ended with them.

    On PostgreSQL nobody changes them any more, nor those on which it depends whether they can run: they are found,
    held all together in the order of their keys, and looked for again.
    """
    found = _down_from(tx, keys)
    held: set[int] = set()
    while tx.on_postgres and not found.keys() <= held:
        held |= flows.hold_family(tx, found)
        found = _down_from(tx, keys)
    return found


def _down_from(tx: Transaction, keys: Sequence[int]) -> dict[int, Ended]:
    """The jobs, and level by level those that ended with them."""
    found: dict[int, Ended] = {}
    level = flows.ended(tx, keys)
    while level:
        found |= {job.key: job for job in level}
        level = [job for job in flows.ended_with(tx, [job.key for job in level]) if job.key not in found]
    return found


def _choose(tx: Transaction, candidates: Mapping[int, Ended]) -> list[int]:
    """Those that can run again, each behind its parents."""
    held = _held_keys(tx, candidates.values())
    waits: dict[int, set[int]] = {}
    children: dict[int, list[int]] = {}
    for child, parent in flows.dead_parents(tx, list(candidates)):
        waits.setdefault(child, set()).add(parent)
        children.setdefault(parent, []).append(child)
    ready = [key for key in candidates if key not in waits]
    heapify(ready)
    chosen = []
    while ready:
        job = candidates[heappop(ready)]
        if job.unique_key is not None:
            if (job.queue, job.unique_key) in held:
                continue
            held.add((job.queue, job.unique_key))
        chosen.append(job.key)
        for child in children.get(job.key, ()):
            waits[child].discard(job.key)
            if not waits[child]:
                heappush(ready, child)
    return chosen


def _held_keys(tx: Transaction, candidates: Collection[Ended]) -> set[tuple[str, str]]:
    """The unique keys of candidates that live jobs hold, with their queues."""
    wanted: dict[str, list[str]] = {}
    for job in candidates:
        if job.unique_key is not None:
            wanted.setdefault(job.queue, []).append(job.unique_key)
    return {(queue, key) for queue, keys in wanted.items() for key in insert.held_unique_keys(tx, queue, keys)}


def refusal_to_revive(tx: Transaction, job: Job) -> StateError:
    """Why a dead or cancelled job cannot be retried."""
    if job.unique_key is not None:
        for holder in insert.held_unique_keys(tx, job.queue, [job.unique_key]).values():
            return DuplicateKey(f"job {job.id} cannot be retried: job {tx.text_of(holder)} holds its unique key.")
    [(_, parent), *_] = flows.dead_parents(tx, [job.key])
    [found] = flows.ended(tx, [parent])
    return InvalidState(
        f"job {job.id} cannot be retried: it depends on job {tx.text_of(parent)}, which is "
        f"{STATES[found.state].value.capitalize()}. Retry that job first."
    )
