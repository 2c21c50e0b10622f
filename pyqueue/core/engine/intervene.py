"""A person steps in: cancel, retry, delete, purge."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from pyqueue.core import limits
from pyqueue.core.engine import flows
from pyqueue.core.engine.finish import remove
from pyqueue.core.engine.revive import refusal_to_revive, revive
from pyqueue.core.errors import InvalidState, no_job
from pyqueue.core.job import Job
from pyqueue.core.states import ACTIVE, CANCELLED, DLQ, STATES, JobState
from pyqueue.core.store import finish, jobs, queues
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event


def require_job(tx: Transaction, job_id: str) -> Job:
    """The job of an id.

    Raises:
        JobNotFound.
    """
    return _found(jobs.get(tx, tx.key_of(job_id)), job_id)


def _hold(tx: Transaction, job_id: str) -> Job:
    """`require_job` for whoever is about to change it."""
    return _found(jobs.hold(tx, tx.key_of(job_id)), job_id)


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise no_job(job_id)
    return job


class Cancel(Struct, frozen=True):
    """Withdraws a job that has not started; if `running`, asks the worker of one that has to stop. Gives its new state.

    Raises:
        JobNotFound, InvalidState (it has ended already, or it runs and may not be asked).
    """

    job_id: str
    running: bool = True

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> JobState:
        job = _hold(tx, self.job_id)
        if job.state_code == ACTIVE and self.running:
            finish.request_cancel(tx, job.key)
            return JobState.ACTIVE
        if job.state_code >= ACTIVE:
            raise InvalidState(
                f"job {self.job_id} is {job.state.value.capitalize()}; "
                "expected Waiting, Delayed, or Blocked (or Active, to ask its worker to stop)."
            )
        finish.withdraw(tx, [job.key], None)
        tx.announce(Change(Event.CANCEL, job.queue, (job.key,), job.state_code, CANCELLED))
        flows.parents_ended(tx, {job.key: CANCELLED})
        return JobState.CANCELLED


class Retry(Struct, frozen=True):
    """Sends a dead or cancelled job round again, and the jobs that never ran because of it.

    Its attempts are back at 0 and its history is kept.

    Raises:
        JobNotFound, InvalidState (neither dead nor cancelled, or a parent is), DuplicateKey (another job holds
            its unique key now).
    """

    job_id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        job = _hold(tx, self.job_id)
        if job.state_code not in (DLQ, CANCELLED):
            raise InvalidState(f"job {job.id} is {job.state.value.capitalize()}; expected Dlq or Cancelled.")
        if job.key not in revive(tx, [job.key]):
            raise refusal_to_revive(tx, job)


class RetryDead(Struct, frozen=True):
    """Retries up to `limits.SWEEP_CHUNK` dead letters of a queue with keys above `after`.

    Gives how many jobs were sent round again, those that never ran because of them included, and the last key
    looked at (None: there are no more). Those whose unique key a newer job holds, or that have a dead parent, stay.
    """

    queue: str
    after: int

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> tuple[int, int | None]:
        keys = queues.keys_in(tx, self.queue, DLQ, after=self.after, limit=limits.SWEEP_CHUNK)
        return len(revive(tx, keys)), keys[-1] if keys else None


class Delete(Struct, frozen=True):
    """Removes a job that is not running, with its attempts and logs. Jobs that wait for it are cancelled.

    Raises:
        JobNotFound, InvalidState (it is active).
    """

    job_id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        job = _hold(tx, self.job_id)
        if job.state_code == ACTIVE:
            raise InvalidState(f"job {self.job_id} is Active; expected a job that is not running. Cancel it first.")
        if not job.state.is_terminal:  # A finished parent has told its children already.
            flows.parents_ended(tx, {job.key: CANCELLED})
        remove(tx, [job.key])


class Purge(Struct, frozen=True):
    """Removes up to `limits.SWEEP_CHUNK` jobs of a queue in one state, finished ones with keys above `after`.

    Gives how many were removed, and the highest key among them (None: there are no more).
    """

    queue: str
    state: int
    after: int = 0

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> tuple[int, int | None]:
        keys = queues.keys_in(tx, self.queue, self.state, after=self.after, limit=limits.SWEEP_CHUNK)
        if not STATES[self.state].is_terminal:
            flows.parents_ended(tx, dict.fromkeys(keys, CANCELLED))
        return remove(tx, keys), max(keys, default=None)
