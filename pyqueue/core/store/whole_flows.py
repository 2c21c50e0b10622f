"""The statements on all jobs of a flow, on the parents of a job, and on the jobs that a batch holds back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pyqueue.core.follows import HELD, NOTHING_FAILED, ONLY, SAW_FAILURE
from pyqueue.core.store.rows import padded_chunks, with_marks
from pyqueue.core.store.transaction import Transaction

_OF_FLOW: Final = "flow_id = ? AND flow_id IS NOT NULL"
_COUNTS: Final = f"SELECT state, count(*) FROM pyqueue_job WHERE {_OF_FLOW} GROUP BY state"
_MEMBERS: Final = f"SELECT id, queue, state, on_finish FROM pyqueue_job WHERE {_OF_FLOW} ORDER BY id /*pg FOR UPDATE*/"
_HELD: Final = f"SELECT id, extras FROM pyqueue_job WHERE {_OF_FLOW} AND on_finish & {HELD} <> 0 ORDER BY id"

_RESULTS: Final = """
    SELECT parent_id, ref, parent.name, parent.state,
           coalesce(parent.result, pyqueue_dependency.result)
    FROM pyqueue_dependency LEFT JOIN pyqueue_job AS parent ON parent.id = parent_id
    WHERE child_id = ? ORDER BY parent_id
"""

_REQUEST_CANCEL: Final = """
    UPDATE pyqueue_job SET cancel_requested_at = coalesce(cancel_requested_at, ?), updated_at = ?
    WHERE id IN ({marks}) AND state = 3
"""

_WAIT_FOR_MORE: Final = f"""
    UPDATE pyqueue_job SET blocked_by = blocked_by + ? WHERE id IN ({{marks}}) AND on_finish & {HELD} <> 0
"""
_ARE_HELD: Final = f"""
    SELECT id FROM pyqueue_job WHERE id IN ({{marks}}) AND on_finish & {HELD} <> 0 ORDER BY id /*pg FOR UPDATE*/
"""

# The same as when a parent completes, but what is counted off is the batch itself.
_LET_GO: Final = f"""
    UPDATE pyqueue_job
    SET blocked_by = blocked_by - 1, on_finish = on_finish & ~{HELD},
        state = CASE WHEN blocked_by > 1 THEN 2 WHEN ? = {ONLY} AND on_finish & {SAW_FAILURE} = 0 THEN 6
                     WHEN run_at > ? THEN 1 ELSE 0 END,
        run_at = CASE WHEN blocked_by > 1 OR run_at > ? THEN run_at END,
        last_error = CASE WHEN blocked_by = 1 AND ? = {ONLY} AND on_finish & {SAW_FAILURE} = 0
                          THEN '{NOTHING_FAILED}' ELSE last_error END,
        updated_at = ?
    WHERE id = ? AND on_finish & {HELD} <> 0 AND state = 2
    RETURNING id, queue, state, run_at
"""
_LET_GO_ENDED: Final = f"""
    UPDATE pyqueue_job SET blocked_by = blocked_by - 1, on_finish = on_finish & ~{HELD}
    WHERE id IN ({{marks}}) AND on_finish & {HELD} <> 0 AND state > 2
"""


class Member(NamedTuple):
    """A job of a flow."""

    key: int
    queue: str
    state: int
    on_finish: int


def counts(tx: Transaction, flow_id: str) -> dict[int, int]:
    """Jobs of the flow by state."""
    return dict(tx.rows(_COUNTS, (flow_id,)))


def members(tx: Transaction, flow_id: str) -> list[Member]:
    """All jobs of the flow, oldest first."""
    return [Member(*row) for row in tx.rows(_MEMBERS, (flow_id,))]


def results(tx: Transaction, key: int) -> list[Any]:
    """The parents of a job: (key, ref, name, state, result), oldest first; without name and state if they are gone."""
    return tx.rows(_RESULTS, (key,))


def request_cancel(tx: Transaction, keys: Sequence[int]) -> None:
    """Leaves a note for the workers of active jobs."""
    for chunk in padded_chunks(keys):
        tx.execute(with_marks(_REQUEST_CANCEL, len(chunk)), [tx.now_us, tx.now_us, *chunk])


def held(tx: Transaction, flow_id: str) -> list[tuple[int, str | None]]:
    """The jobs that wait for a batch to be closed: (key, extras)."""
    return tx.rows(_HELD, (flow_id,))


def are_held(tx: Transaction, keys: Sequence[int]) -> bool:
    """Whether a batch still holds each of these jobs."""
    return len(tx.rows(with_marks(_ARE_HELD, len(keys)), keys)) == len(keys)


def wait_for_more(tx: Transaction, keys: Sequence[int], number: int) -> None:
    """Lets held jobs wait for so many parents more."""
    tx.execute(with_marks(_WAIT_FOR_MORE, len(keys)), [number, *keys])


def let_go(tx: Transaction, key: int, policy: int) -> list[tuple[int, str, int, int | None]]:
    """Ends the hold of a batch on a blocked job: (key, queue, new state, run_at), or nothing."""
    return tx.rows(_LET_GO, (policy, tx.now_us, tx.now_us, policy, tx.now_us, key))


def let_go_ended(tx: Transaction, keys: Sequence[int]) -> None:
    """Ends the hold on jobs that have ended meanwhile."""
    for chunk in padded_chunks(keys):
        tx.execute(with_marks(_LET_GO_ENDED, len(chunk)), chunk)
