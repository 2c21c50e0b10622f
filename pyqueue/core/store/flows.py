"""The statements behind dependencies: jobs that wait for other jobs.

A blocked job counts what it waits for in `blocked_by`, so the end of a parent is a matter of the children of
that parent, however many parents they have. All statements take many jobs at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from pyqueue.core.follows import CANCEL, ENDED_BY_PARENT, HELD, NOTHING_FAILED, ONLY, RUN, SAW_FAILURE
from pyqueue.core.store.rows import flat, padded_chunks, with_marks, with_rows
from pyqueue.core.store.transaction import Transaction

_IS_SKIPPED: Final = f"blocked_by <= met.parents AND met.policy = {ONLY} AND on_finish & {SAW_FAILURE} = 0"

# blocked → waiting or delayed, where it waits for no other; or cancelled, where it waited for a failure and none came.
_COUNT_OFF: Final = f"""
    UPDATE pyqueue_job
    SET blocked_by = blocked_by - met.parents,
        state = CASE WHEN {_IS_SKIPPED} THEN 6 WHEN blocked_by > met.parents THEN 2 WHEN run_at > ? THEN 1 ELSE 0 END,
        run_at = CASE WHEN blocked_by > met.parents OR run_at > ? THEN run_at END,
        last_error = CASE WHEN {_IS_SKIPPED} THEN '{NOTHING_FAILED}' ELSE last_error END,
        updated_at = ?
    FROM (
        SELECT child_id, count(*) AS parents, max(on_failure) AS policy
        FROM pyqueue_dependency WHERE parent_id IN ({{marks}}) GROUP BY child_id
    ) AS met
    WHERE id = met.child_id AND state = 2
    RETURNING id, queue, state, run_at
"""

# Those that go on after a failure learn of it first: it may be what they wait for.
_SHOW_FAILURE: Final = f"""
    UPDATE pyqueue_job SET on_finish = on_finish | {SAW_FAILURE}
    WHERE state = 2 AND id IN (
        SELECT child_id FROM pyqueue_dependency WHERE parent_id IN ({{marks}}) AND on_failure = {ONLY})
"""

# On PostgreSQL two that count off at the same children would else lock them in different orders, and wait for each
# other until one of them is undone.
_HOLD_BLOCKED: Final = """
    SELECT id FROM pyqueue_job
    WHERE state = 2 AND id IN (SELECT child_id FROM pyqueue_dependency WHERE parent_id IN ({marks}))
    ORDER BY id /*pg FOR UPDATE*/
"""
_HOLD: Final = "SELECT id FROM pyqueue_job WHERE id IN ({marks}) ORDER BY id /*pg FOR UPDATE*/"

_BLOCKED_CHILDREN: Final = """
    SELECT child.id, child.queue, child.on_finish, parent_id, on_failure
    FROM pyqueue_dependency JOIN pyqueue_job AS child ON child.id = child_id
    WHERE parent_id IN ({marks}) AND child.state = 2 /*pg ORDER BY child.id FOR UPDATE OF child*/
"""

# blocked → dead or cancelled, with a mark that says that it never ran.
_END_BLOCKED: Final = f"""
    UPDATE pyqueue_job
    SET state = ended.column2, last_error = ended.column3, on_finish = on_finish | {ENDED_BY_PARENT}, updated_at = ?
    FROM (VALUES {{rows}}) AS ended
    WHERE id = ended.column1 AND state = 2
"""

# What to do with them: dead or cancelled jobs, and those of them that ended with a parent among these.
_ENDED: Final = """
    SELECT id, queue, state, on_finish, unique_key FROM pyqueue_job WHERE id IN ({marks}) AND state IN (5, 6)
"""
_ENDED_WITH: Final = f"""
    SELECT id, queue, state, on_finish, unique_key FROM pyqueue_job
    WHERE id IN (SELECT child_id FROM pyqueue_dependency WHERE parent_id IN ({{marks}}))
      AND state IN (5, 6) AND on_finish & {ENDED_BY_PARENT} <> 0
"""
_ENDED_OF_FLOW: Final = "SELECT id FROM pyqueue_job WHERE flow_id = ? AND flow_id IS NOT NULL AND state IN (5, 6)"

_DEAD_PARENTS: Final = f"""
    SELECT child_id, parent_id FROM pyqueue_dependency JOIN pyqueue_job AS parent ON parent.id = parent_id
    WHERE child_id IN ({{marks}}) AND on_failure <= {CANCEL} AND parent.state IN (5, 6)
"""

# dlq, cancelled → waiting, as if new, with its history kept. `_RECOUNT` follows.
_REVIVE: Final = f"""
    UPDATE pyqueue_job
    SET state = 0, attempt = 0, run_at = NULL, expires_at = NULL, cancel_requested_at = NULL, progress = NULL,
        on_finish = on_finish & ~{ENDED_BY_PARENT}, updated_at = ?
    WHERE id IN ({{marks}}) AND state IN (5, 6)
"""

# A parent that is gone counts as completed: it was removed on completion, or a person deleted it.
_PARENTS_LEFT: Final = f"""
    SELECT child.id, child.state,
           sum(CASE WHEN parent.state < 4 OR parent.state > 4 AND on_failure <= {CANCEL} THEN 1 ELSE 0 END)
               + CASE WHEN child.on_finish & {HELD} <> 0 THEN 1 ELSE 0 END,
           sum(CASE WHEN parent.state > 4 AND on_failure = {ONLY} THEN 1 ELSE 0 END)
    FROM pyqueue_job AS child
    LEFT JOIN pyqueue_dependency ON child_id = child.id LEFT JOIN pyqueue_job AS parent ON parent.id = parent_id
    WHERE child.id IN ({{marks}}) AND child.blocked_by IS NOT NULL
    GROUP BY child.id, child.state, child.on_finish
"""
_RECOUNT: Final = f"""
    UPDATE pyqueue_job
    SET blocked_by = counted.column2, state = CASE WHEN counted.column2 > 0 THEN 2 ELSE 0 END,
        on_finish = (on_finish & ~{SAW_FAILURE}) | counted.column3
    FROM (VALUES {{rows}}) AS counted
    WHERE id = counted.column1 AND state IN (0, 2)
"""
_WAITING_IN_SPITE: Final = f"""
    SELECT DISTINCT child.id FROM pyqueue_dependency JOIN pyqueue_job AS child ON child.id = child_id
    WHERE parent_id IN ({{marks}}) AND on_failure >= {RUN} AND child.state = 2
"""

_ABOVE: Final = "SELECT DISTINCT parent_id FROM pyqueue_dependency WHERE child_id IN ({marks})"

# What is left of a parent's result when its row goes, for children that have not ended.
_KEEP_RESULTS: Final = """
    UPDATE pyqueue_dependency
    SET result = (SELECT result FROM pyqueue_job WHERE id = parent_id)
    WHERE parent_id IN ({marks}) AND EXISTS (SELECT 1 FROM pyqueue_job WHERE id = child_id AND state < 4)
"""


class Child(NamedTuple):
    """A blocked job, and the oldest of the parents that it was found by."""

    key: int
    queue: str
    on_finish: int
    parent: int
    policy: int


class Ended(NamedTuple):
    """A dead or cancelled job."""

    key: int
    queue: str
    state: int
    on_finish: int
    unique_key: str | None


def count_off(tx: Transaction, parents: Sequence[int]) -> list[tuple[int, str, int, int | None]]:
    """Counts parents that completed off at their blocked children: (key, queue, new state, run_at) of each."""
    rows: list[tuple[int, str, int, int | None]] = []
    for chunk in padded_chunks(parents):
        if tx.on_postgres:
            tx.execute(with_marks(_HOLD_BLOCKED, len(chunk)), chunk)
        rows += tx.rows(with_marks(_COUNT_OFF, len(chunk)), [tx.now_us, tx.now_us, tx.now_us, *chunk])
    return rows


def count_off_failed(tx: Transaction, parents: Sequence[int]) -> list[tuple[int, str, int, int | None]]:
    """The same for parents that failed. Only children that go on in spite of it may be blocked by them still."""
    for chunk in padded_chunks(parents):
        tx.execute(with_marks(_SHOW_FAILURE, len(chunk)), chunk)
    return count_off(tx, parents)


def blocked_children(tx: Transaction, parents: Sequence[int]) -> list[Child]:
    """The jobs that wait for one of these, each once."""
    found: dict[int, Child] = {}
    for child in map(Child._make, _over(tx, _BLOCKED_CHILDREN, parents)):
        if child.key not in found or child.parent < found[child.key].parent:
            found[child.key] = child
    return list(found.values())


def end_blocked(tx: Transaction, rows: Sequence[tuple[int, int, str]]) -> None:
    """Ends jobs that can never run, from rows of (key, state, reason)."""
    for chunk in padded_chunks(rows):
        tx.execute(with_rows(_END_BLOCKED, 3, len(chunk)), [tx.now_us, *flat(chunk)])


def ended(tx: Transaction, keys: Sequence[int]) -> list[Ended]:
    """Those of the jobs that are dead or cancelled."""
    return [Ended(*row) for row in _over(tx, _ENDED, keys)]


def ended_with(tx: Transaction, parents: Sequence[int]) -> list[Ended]:
    """The jobs that never ran because of one of these parents, or of another one."""
    return [Ended(*row) for row in _over(tx, _ENDED_WITH, parents)]


def ended_of_flow(tx: Transaction, flow_id: str) -> list[int]:
    """The dead and cancelled jobs of a flow."""
    return [key for (key,) in tx.rows(_ENDED_OF_FLOW, (flow_id,))]


def hold_family(tx: Transaction, keys: Collection[int]) -> set[int]:
    """Lets none of these jobs change, nor of those by which `revive` counts; gives them all.

    For PostgreSQL, and in one go, so that two that do so wait for each other in one order.
    """
    family = {*keys, *(key for (key,) in _over(tx, _WAITING_IN_SPITE, keys))}
    family |= {key for (key,) in _over(tx, _ABOVE, family)}
    _over(tx, _HOLD, sorted(family))
    return family


def dead_parents(tx: Transaction, keys: Sequence[int]) -> list[tuple[int, int]]:
    """Rows of (job, parent) where the parent has ended so that the job cannot run."""
    return _over(tx, _DEAD_PARENTS, keys)


def revive(tx: Transaction, keys: Sequence[int]) -> dict[int, int]:
    """Sends dead or cancelled jobs round again; gives the state in which each now waits."""
    for chunk in padded_chunks(keys):
        tx.execute(with_marks(_REVIVE, len(chunk)), [tx.now_us, *chunk])
    in_spite = [key for (key,) in _over(tx, _WAITING_IN_SPITE, keys)]
    counted = {row[0]: row for row in _over(tx, _PARENTS_LEFT, list({*keys, *in_spite}))}
    rows = [
        (key, left, SAW_FAILURE if failed else 0) for key, state, left, failed in counted.values() if state in (0, 2)
    ]
    for piece in padded_chunks(rows):
        tx.execute(with_rows(_RECOUNT, 3, len(piece)), flat(piece))
    return {key: 2 if key in counted and counted[key][2] else 0 for key in keys}


def depth_of(tx: Transaction, parents: Collection[int], depth_max: int) -> int:
    """How many levels there are above a child of these jobs, themselves included; at most one more than `depth_max`."""
    seen, level, depth = set(parents), list(parents), 0
    while level and depth <= depth_max:
        depth += 1
        level = [key for key in {key for (key,) in _over(tx, _ABOVE, level)} if key not in seen]
        seen.update(level)
    return depth


def keep_results(tx: Transaction, parents: Sequence[int]) -> None:
    """Leaves the results of parents whose rows will go with the children that may still ask for them."""
    for chunk in padded_chunks(parents):
        tx.execute(with_marks(_KEEP_RESULTS, len(chunk)), chunk)


def _over(tx: Transaction, sql: str, keys: Iterable[int]) -> list[Any]:
    """The rows of a statement on a set of keys, in pieces."""
    return [row for chunk in padded_chunks(list(keys)) for row in tx.rows(with_marks(sql, len(chunk)), chunk)]
