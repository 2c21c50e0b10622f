"""The parents that new jobs name: looked up together, and refused where waiting for them makes no sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pyqueue.core import dag
from pyqueue.core.errors import JobNotFound, ValidationError
from pyqueue.core.follows import RUN
from pyqueue.core.options import NewJob, Settings
from pyqueue.core.states import CANCELLED, COMPLETED, DLQ, STATES
from pyqueue.core.store import flows, insert
from pyqueue.core.store.transaction import Transaction

_NO_PARENT: Final = "depends_on names job {}, which does not exist; expected ids of stored jobs."


class Parents(NamedTuple):
    """The parents of a new job that are stored already, by key, with their states. Those of its own push come later."""

    states: dict[int, int]

    @property
    def unfinished(self) -> int:
        """How many of them it has to wait for."""
        return sum(state < COMPLETED for state in self.states.values())

    @property
    def have_failed(self) -> bool:
        return not {DLQ, CANCELLED}.isdisjoint(self.states.values())


NO_PARENTS: Final = Parents({})


def of(tx: Transaction, jobs: Sequence[NewJob], depth_max: int | None) -> list[Parents]:
    """The stored parents of each job.

    Raises:
        ValidationError: one does not exist, or cannot complete any more and the job would end with it; or the chain
            of parents is longer than `depth_max`.
    """
    named = {job_id for job in jobs if job.settings for job_id in job.settings.depends_on}
    keys = {job_id: _key_of(tx, job_id) for job_id in named}
    states = insert.parent_states(tx, list(keys.values())) if keys else {}
    found = [_parents(job.settings, keys, states) for job in jobs]
    if depth_max is not None:
        _require_shallow(tx, jobs, found, depth_max)
    return found


def _key_of(tx: Transaction, job_id: str) -> int:
    try:
        return tx.key_of(job_id)
    except JobNotFound as error:
        raise ValidationError(_NO_PARENT.format(job_id)) from error
    except ValidationError as error:
        raise ValidationError(f"depends_on: {error}") from error


def _parents(settings: Settings | None, keys: dict[str, int], states: dict[int, int]) -> Parents:
    if settings is None or not settings.depends_on:
        return NO_PARENTS
    for job_id in settings.depends_on:
        state = states.get(keys[job_id])
        if state is None:
            raise ValidationError(_NO_PARENT.format(job_id))
        if state in (DLQ, CANCELLED) and settings.policy < RUN:
            raise ValidationError(
                f"depends_on names job {job_id}, which is {STATES[state]} and will not complete; "
                "retry that job first, leave it out, or push with on_parent_failure='run'."
            )
    return Parents({keys[job_id]: states[keys[job_id]] for job_id in settings.depends_on})


def _require_shallow(tx: Transaction, jobs: Sequence[NewJob], parents: Sequence[Parents], depth_max: int) -> None:
    """Parents are at depth 1, their parents at 2, and so on, each job by its shortest way, as RustQueue counts."""
    depths = [0] * len(jobs)
    stored: dict[frozenset[int], int] = {}
    for place in dag.in_order(jobs):
        above = frozenset(parents[place].states)
        if above not in stored:
            stored[above] = flows.depth_of(tx, above, depth_max) if above else 0
        settings = jobs[place].settings
        inner = [1 + depths[parent.place] for parent in settings.inner] if settings else []
        depths[place] = max([stored[above], *inner])
        if depths[place] > depth_max:
            raise ValidationError(
                f"depends_on makes a chain of more than {depth_max} jobs above job {jobs[place].name!r} "
                "(max_flow_depth); expected a shorter one. Raise the limit, or let jobs of one level run side by side."
            )
