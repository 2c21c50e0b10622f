"""The rules of pyqueue in plain Python, for one process and no failures: what the engine is held against.

Written from the documented behaviour, with a dictionary for a database and no care for speed.
Times are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PENDING = ("waiting", "delayed", "blocked")
LIVE = (*PENDING, "active")
LEASE_MS = 30_000


class Refused(Exception):
    """The model refuses the call; `code` is that of the error expected from the engine."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class ModelJob:
    number: int  # order of creation
    queue: str
    priority: int = 0
    lifo: bool = False
    max_attempts: int = 3
    backoff: str = "exponential"
    backoff_delay_ms: int = 1_000
    timeout_ms: int | None = None
    expires_at: int | None = None
    unique_key: str | None = None
    parents: tuple[str, ...] = ()
    remove_on_complete: bool = False
    remove_on_fail: bool = False
    state: str = "waiting"
    run_at: int | None = None
    attempt: int = 0
    lease: int = 0
    lease_until: int = 0
    started_at: int = 0
    is_cancel_requested: bool = False
    waits_for: set[str] = field(default_factory=set)


class Model:
    """All jobs by id, and the queues that refuse pushes."""

    def __init__(self) -> None:
        self.jobs: dict[str, ModelJob] = {}
        self.paused: set[str] = set()
        self.pushed = 0

    # --- pushing -------------------------------------------------------------------------------

    def check_push(self, job: ModelJob, others: list[ModelJob]) -> None:
        """Refuses what the engine must refuse; `others` stand before it in the same batch."""
        if job.queue in self.paused:
            raise Refused("QUEUE_PAUSED")
        holders = [each for each in self.jobs.values() if each.state in LIVE] + others
        if job.unique_key and any((each.queue, each.unique_key) == (job.queue, job.unique_key) for each in holders):
            raise Refused("DUPLICATE_KEY")
        for parent in job.parents:
            if parent not in self.jobs or self.jobs[parent].state in ("dlq", "cancelled"):
                raise Refused("VALIDATION_ERROR")

    def add(self, job_id: str, job: ModelJob) -> None:
        job.waits_for = {parent for parent in job.parents if self.jobs[parent].state != "completed"}
        job.state = "blocked" if job.waits_for else "waiting" if job.run_at is None else "delayed"
        self.jobs[job_id] = job

    # --- what falls due --------------------------------------------------------------------------

    def fall_due(self, now: int) -> None:
        """Expiry and the end of delays: every pull and every sweep begins with this."""
        expired = [
            job_id
            for job_id, job in self.jobs.items()
            if job.state in PENDING and job.expires_at is not None and job.expires_at <= now
        ]
        for job_id in expired:
            self.jobs[job_id].state = "cancelled"
        for job_id in expired:
            self.cascade(job_id, "cancelled")
        for job in self.jobs.values():
            if job.state == "delayed" and job.run_at is not None and job.run_at <= now:
                job.state, job.run_at = "waiting", None

    def sweep(self, now: int) -> None:
        self.fall_due(now)
        for job_id, job in list(self.jobs.items()):
            if job.state == "active" and job.lease_until <= now:
                self.fail(job_id, job.lease, now)

    # --- workers -----------------------------------------------------------------------------------

    def pull(self, queues: list[str], count: int, now: int) -> list[str]:
        self.fall_due(now)
        taken: list[str] = []
        for queue in queues:
            ready = [job_id for job_id, job in self.jobs.items() if (job.queue, job.state) == (queue, "waiting")]
            ready.sort(key=lambda job_id: _order(self.jobs[job_id]))
            taken += ready[: count - len(taken)]
        for job_id in taken:
            job = self.jobs[job_id]
            job.state, job.started_at, job.is_cancel_requested = "active", now, False
            job.lease += 1
            job.lease_until = now + min(LEASE_MS, job.timeout_ms or LEASE_MS)
        return taken

    def require_run(self, job_id: str, lease: int | None) -> ModelJob:
        job = self.jobs.get(job_id)
        if job is None:
            raise Refused("JOB_NOT_FOUND")
        if job.state != "active":
            raise Refused("INVALID_STATE")
        if lease not in (None, job.lease):
            raise Refused("LEASE_LOST")
        return job

    def ack(self, job_id: str, lease: int | None, now: int) -> None:
        job = self.require_run(job_id, lease)
        job.state = "completed"
        for child in self.jobs.values():
            if child.state == "blocked" and job_id in child.waits_for:
                child.waits_for.discard(job_id)
                if not child.waits_for:
                    is_later = child.run_at is not None and child.run_at > now
                    child.state = "delayed" if is_later else "waiting"
                    child.run_at = child.run_at if is_later else None
        if job.remove_on_complete:
            del self.jobs[job_id]

    def fail(self, job_id: str, lease: int | None, now: int) -> None:
        job = self.require_run(job_id, lease)
        job.attempt += 1
        if job.is_cancel_requested:
            self.end(job_id, "cancelled")
        elif job.attempt >= job.max_attempts:
            self.end(job_id, "dlq")
            if job.remove_on_fail:
                del self.jobs[job_id]
        else:
            self.come_back(job, now, _backoff_ms(job))

    def release(self, job_id: str, lease: int | None, delay_ms: int, now: int) -> None:
        job = self.require_run(job_id, lease)
        if job.is_cancel_requested:
            self.end(job_id, "cancelled")
        else:
            self.come_back(job, now, delay_ms)

    def heartbeat(self, job_id: str, lease: int | None, now: int) -> bool:
        job = self.require_run(job_id, lease)
        limit = now + LEASE_MS if job.timeout_ms is None else job.started_at + job.timeout_ms
        job.lease_until = min(now + LEASE_MS, limit)
        return job.is_cancel_requested

    def come_back(self, job: ModelJob, now: int, delay_ms: int) -> None:
        job.state, job.run_at = ("delayed", now + delay_ms) if delay_ms else ("waiting", None)

    # --- people ------------------------------------------------------------------------------------

    def require(self, job_id: str) -> ModelJob:
        if job_id not in self.jobs:
            raise Refused("JOB_NOT_FOUND")
        return self.jobs[job_id]

    def cancel(self, job_id: str) -> None:
        job = self.require(job_id)
        if job.state == "active":
            job.is_cancel_requested = True
        elif job.state in PENDING:
            self.end(job_id, "cancelled")
        else:
            raise Refused("INVALID_STATE")

    def retry(self, job_id: str) -> None:
        job = self.require(job_id)
        if job.state not in ("dlq", "cancelled"):
            raise Refused("INVALID_STATE")
        held = [
            each for each in self.jobs.values() if each.state in LIVE and each.queue == job.queue and each.unique_key
        ]
        if job.unique_key and any(each.unique_key == job.unique_key for each in held):
            raise Refused("DUPLICATE_KEY")
        parents = {parent: self.jobs[parent].state for parent in job.parents if parent in self.jobs}
        if any(state in ("dlq", "cancelled") for state in parents.values()):
            raise Refused("INVALID_STATE")
        job.waits_for = {parent for parent, state in parents.items() if state != "completed"}
        job.state = "blocked" if job.waits_for else "waiting"
        job.attempt, job.run_at, job.expires_at = 0, None, None

    def delete(self, job_id: str) -> None:
        job = self.require(job_id)
        if job.state == "active":
            raise Refused("INVALID_STATE")
        if job.state in PENDING:
            self.cascade(job_id, "cancelled")
        del self.jobs[job_id]

    def purge(self, queue: str, state: str) -> None:
        """Newest first, so that a purge of blocked jobs takes children before their parents."""
        for job_id in sorted(self.jobs, reverse=True):
            if (self.jobs[job_id].queue, self.jobs[job_id].state) == (queue, state):
                self.delete(job_id)

    def end(self, job_id: str, state: str) -> None:
        self.jobs[job_id].state = state
        self.cascade(job_id, state)

    def cascade(self, parent: str, state: str) -> None:
        """A parent that cannot complete takes the blocked jobs below it along."""
        for job_id, job in list(self.jobs.items()):
            if job.state == "blocked" and parent in job.parents:
                self.end(job_id, "dlq" if state == "dlq" else "cancelled")


def _order(job: ModelJob) -> tuple[int, int, int]:
    return (-job.priority, -job.number if job.lifo else 0, job.number)


def _backoff_ms(job: ModelJob) -> int:
    factor = {"fixed": 1, "linear": job.attempt, "exponential": 2 ** (job.attempt - 1)}[job.backoff]
    return int(job.backoff_delay_ms * factor)
