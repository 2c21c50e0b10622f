"""A look at the queues of what an operation names, before it is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from pyqueue.core.errors import JobNotFound, ValidationError, no_job
from pyqueue.core.store import jobs, schedules
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.transaction import Transaction


class Places(NamedTuple):
    """The queue of each of some jobs, by id, and that of a schedule. What does not exist has none."""

    jobs: Mapping[str, str]
    schedule: str | None = None


def places_of(tx: Transaction, job_ids: Sequence[str], schedule: str | None = None) -> Places:
    """Where these jobs and this schedule are."""
    keys: dict[str, int] = {}
    for job_id in job_ids:
        try:
            keys[job_id] = tx.key_of(job_id)
        except (JobNotFound, ValidationError):
            continue
    found = jobs.queues_of(tx, list(keys.values()))
    rule = None if schedule is None else schedules.get(tx, schedule)
    return Places(
        {job_id: found[key] for job_id, key in keys.items() if key in found}, None if rule is None else rule.queue
    )


class Checked(Struct, frozen=True):
    """`operation`, if `check` does not raise: it is told where the jobs `ids` are.

    What `check` gives are jobs that are answered as if they did not exist, while the others are seen to. Only an
    operation with an item for each of `ids`, in order, can do that; it has a method `only`.
    """

    operation: Operation[Any]
    ids: tuple[str, ...]
    check: Callable[[Places], Collection[str]]

    @property
    def durable(self) -> bool:
        return self.operation.durable

    def run(self, tx: Transaction) -> Any:
        unknown = self.check(places_of(tx, self.ids))
        if not unknown:
            return self.operation.run(tx)
        operation: Any = self.operation
        known = [place for place, job_id in enumerate(self.ids) if job_id not in unknown]
        outcomes = iter(operation.only(known).run(tx) if known else ())
        return [no_job(job_id) if job_id in unknown else next(outcomes) for job_id in self.ids]
