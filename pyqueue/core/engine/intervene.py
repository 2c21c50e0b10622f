"""A person steps in: cancel, retry, delete, purge."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from pyqueue.core import limits
from pyqueue.core.engine import flows
from pyqueue.core.engine.finish import remove
from pyqueue.core.errors import DuplicateKey, InvalidState, JobNotFound, StateError
from pyqueue.core.job import Job
from pyqueue.core.states import ACTIVE, BLOCKED, CANCELLED, COMPLETED, DLQ, STATES, WAITING, JobState
from pyqueue.core.store import finish, insert, jobs, keyed, queues
from pyqueue.core.store import flows as dependencies
from pyqueue.core.store.limits import HAS_KEYS
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.transitions import Event


def require_job(tx: Transaction, job_id: str) -> Job:
    """The job of an id.

    Raises:
        JobNotFound.
    """
    job = jobs.get(tx, tx.key_of(job_id))
    if job is None:
        raise JobNotFound(f"job {job_id} does not exist; it was deleted, or its id is wrong.")
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
        job = require_job(tx, self.job_id)
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
        flows.parent_ended(tx, job.key, CANCELLED)
        return JobState.CANCELLED


class Retry(Struct, frozen=True):
    """Sends a dead or cancelled job round again, with its attempts back at 0 and its history kept.

    Raises:
        JobNotFound, InvalidState (neither dead nor cancelled, or a parent is), DuplicateKey (another job holds
            its unique key now).
    """

    job_id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        _retry(tx, require_job(tx, self.job_id))


class RetryDead(Struct, frozen=True):
    """Retries up to `limits.SWEEP_CHUNK` dead letters of a queue with keys above `after`.

    Gives how many were sent round again, and the last key looked at (None: there are no more).
    """

    queue: str
    after: int

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> tuple[int, int | None]:
        keys = queues.keys_in(tx, self.queue, DLQ, after=self.after, limit=limits.SWEEP_CHUNK)
        retried = 0
        for key in keys:
            job = jobs.get(tx, key)
            try:
                retried += job is not None and _retry(tx, job)
            except StateError:
                continue  # A newer job holds its unique key, or a parent is dead: it stays where it is.
        return retried, keys[-1] if keys else None


def _retry(tx: Transaction, job: Job) -> bool:
    if job.state_code not in (DLQ, CANCELLED):
        raise InvalidState(f"job {job.id} is {job.state.value.capitalize()}; expected Dlq or Cancelled.")
    if job.unique_key is not None:
        for holder in insert.held_unique_keys(tx, job.queue, [job.unique_key]).values():
            raise DuplicateKey(f"job {job.id} cannot be retried: job {tx.text_of(holder)} holds its unique key.")
    parents = dependencies.parents_of(tx, job.key)
    for parent, parent_state in parents:
        if parent_state in (DLQ, CANCELLED):
            raise InvalidState(
                f"job {job.id} cannot be retried: it depends on job {tx.text_of(parent)}, which is "
                f"{STATES[parent_state].value.capitalize()}. Retry that job first."
            )
    unfinished = sum(parent_state != COMPLETED for _, parent_state in parents)
    state = finish.retry(tx, job.key, None if job.blocked_by is None else unfinished)
    assert state in (WAITING, BLOCKED)
    if tx.queue(job.queue).limits & HAS_KEYS:
        keyed.mark_one(tx, job.key)
    tx.announce(Change(Event.RETRY, job.queue, (job.key,), job.state_code, state))
    if state == WAITING:
        tx.wake(job.queue, 1)
    return True


class Delete(Struct, frozen=True):
    """Removes a job that is not running, with its attempts and logs. Jobs that wait for it are cancelled.

    Raises:
        JobNotFound, InvalidState (it is active).
    """

    job_id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        job = require_job(tx, self.job_id)
        if job.state_code == ACTIVE:
            raise InvalidState(f"job {self.job_id} is Active; expected a job that is not running. Cancel it first.")
        if not job.state.is_terminal:  # A finished parent has told its children already.
            flows.parent_ended(tx, job.key, CANCELLED)
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
            for key in keys:
                flows.parent_ended(tx, key, CANCELLED)
        return remove(tx, keys), max(keys, default=None)
