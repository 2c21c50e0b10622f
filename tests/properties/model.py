"""The rules of pyqueue in plain Python, for one process and no failures: what the engine is held against.

Written from the documented behaviour, with a dictionary for a database and no care for speed.
Times are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PENDING = ("waiting", "delayed", "blocked")
LIVE = (*PENDING, "active")
FINISHED = ("completed", "dlq", "cancelled")
DEAD = ("dlq", "cancelled")
DAY_MS = 24 * 3_600 * 1_000
KEEP_MS = {"completed": 7 * DAY_MS, "cancelled": 30 * DAY_MS, "dlq": 90 * DAY_MS}


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
    group_id: str | None = None
    parents: tuple[str, ...] = ()
    on_parent_failure: str = "fail"
    remove_on_complete: bool = False
    remove_on_fail: bool = False
    state: str = "waiting"
    run_at: int | None = None
    attempt: int = 0
    failures: int = 0  # `attempt`, but not begun anew by a retry
    progress: int | None = None
    messages: int = 0
    ended_at: int = 0
    has_waited_elsewhere: bool = False  # delayed, blocked or running: it has lost its place in its group
    lease: int = 0
    lease_until: int = 0
    started_at: int = 0
    is_cancel_requested: bool = False
    waits_for: set[str] = field(default_factory=set)
    has_seen_failure: bool = False
    is_ended_by_parent: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the failure of a parent does not end it."""
        return self.on_parent_failure in ("run", "only")


class Model:
    """All jobs by id, and the queues that refuse pushes or hold their jobs back."""

    def __init__(self) -> None:
        self.jobs: dict[str, ModelJob] = {}
        self.paused: set[str] = set()
        self.held: set[str] = set()
        self.pushed = 0

    # --- pushing -------------------------------------------------------------------------------

    def check_batch(self, jobs: list[ModelJob]) -> None:
        for position, job in enumerate(jobs):
            self.check_push(job, jobs[:position])

    def check_push(self, job: ModelJob, others: list[ModelJob]) -> None:
        """Refuses what the engine must refuse; `others` stand before it in the same batch."""
        if job.queue in self.paused:
            raise Refused("QUEUE_PAUSED")
        holders = [each for each in self.jobs.values() if each.state in LIVE] + others
        if job.unique_key and any((each.queue, each.unique_key) == (job.queue, job.unique_key) for each in holders):
            raise Refused("DUPLICATE_KEY")
        for parent in job.parents:
            if parent not in self.jobs or (self.jobs[parent].state in DEAD and not job.goes_on):
                raise Refused("VALIDATION_ERROR")

    def add(self, job_id: str, job: ModelJob, now: int) -> None:
        self.jobs[job_id] = job
        self.look_at_parents(job)
        job.state = "blocked" if job.waits_for else "waiting" if job.run_at is None else "delayed"
        job.has_waited_elsewhere = job.state != "waiting"
        if job.parents and not job.waits_for and job.on_parent_failure == "only" and not job.has_seen_failure:
            self.skip(job_id, now)

    def look_at_parents(self, job: ModelJob) -> None:
        states = {parent: self.jobs[parent].state for parent in job.parents if parent in self.jobs}
        job.waits_for = {
            parent for parent, state in states.items() if state in LIVE or (state in DEAD and not job.goes_on)
        }
        job.has_seen_failure = job.on_parent_failure == "only" and any(state in DEAD for state in states.values())

    # --- what falls due --------------------------------------------------------------------------

    def fall_due(self, now: int) -> None:
        """Expiry, the end of delays, and lapsed leases: every pull and every sweep begins with this."""
        expired = [
            job_id
            for job_id, job in self.jobs.items()
            if job.state in PENDING and job.expires_at is not None and job.expires_at <= now
        ]
        for job_id in expired:
            self.jobs[job_id].state, self.jobs[job_id].ended_at = "cancelled", now
        self.cascade(dict.fromkeys(expired, "cancelled"), now)
        for job in self.jobs.values():
            if job.state == "delayed" and job.run_at is not None and job.run_at <= now:
                job.state, job.run_at = "waiting", None
        for job_id, job in list(self.jobs.items()):
            if job.state == "active" and job.lease_until <= now:
                self.fail(job_id, job.lease, now)

    def sweep(self, now: int) -> None:
        self.fall_due(now)
        for job_id, job in list(self.jobs.items()):
            if job.state in FINISHED and job.ended_at < now - KEEP_MS[job.state]:
                del self.jobs[job_id]

    # --- workers -----------------------------------------------------------------------------------

    def ready(self, queue: str) -> list[str]:
        """What can be pulled from a queue, in order; that of groups among each other is left open."""
        ready = [job_id for job_id, job in self.jobs.items() if (job.queue, job.state) == (queue, "waiting")]
        return [] if queue in self.held else sorted(ready, key=lambda job_id: _order(self.jobs[job_id]))

    def check_turns(self, queue: str, taken: list[str]) -> None:
        """In a queue with groups: none of a higher priority is left, and each group is served in order."""
        jobs = [self.jobs[job_id] for job_id in taken]
        left = [self.jobs[job_id] for job_id in self.ready(queue) if job_id not in taken]
        assert all((job.queue, job.state) == (queue, "waiting") for job in jobs), "not ready"
        for position, job in enumerate(jobs):
            for later in jobs[position + 1 :] + left:
                assert later.priority <= job.priority, "a higher priority had to wait"
                is_sequence = not job.has_waited_elsewhere and not later.has_waited_elsewhere
                if is_sequence and (later.priority, later.group_id) == (job.priority, job.group_id):
                    assert _order(job) < _order(later), "overtaken within a group"

    def start(self, job_id: str, lease_ms: int, now: int) -> None:
        job = self.jobs[job_id]
        job.state, job.started_at, job.is_cancel_requested = "active", now, False
        job.lease += 1
        job.lease_until = now + min(lease_ms, job.timeout_ms or lease_ms)

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
        job.state, job.ended_at = "completed", now
        for child_id, child in list(self.jobs.items()):
            if child.state == "blocked" and job_id in child.waits_for:
                self.count_off(child_id, {job_id}, now)
        if job.remove_on_complete:
            del self.jobs[job_id]

    def fail(self, job_id: str, lease: int | None, now: int, *, retry: bool = True, delay_ms: int | None = None) -> str:
        job = self.require_run(job_id, lease)
        job.attempt += 1
        job.failures += 1
        if job.is_cancel_requested:
            self.end(job_id, "cancelled", now)
        elif not retry or job.attempt >= job.max_attempts:
            self.end(job_id, "dlq", now)
            if job.remove_on_fail:
                del self.jobs[job_id]
        else:
            self.come_back(job, now, _backoff_ms(job) if delay_ms is None else delay_ms)
        return job.state

    def release(self, job_id: str, lease: int | None, delay_ms: int, now: int) -> None:
        job = self.require_run(job_id, lease)
        if job.is_cancel_requested:
            self.end(job_id, "cancelled", now)
        else:
            self.come_back(job, now, delay_ms)

    def heartbeat(self, job_id: str, lease: int | None, lease_ms: int, now: int) -> bool:
        job = self.require_run(job_id, lease)
        limit = now + lease_ms if job.timeout_ms is None else job.started_at + job.timeout_ms
        job.lease_until = min(now + lease_ms, limit)
        return job.is_cancel_requested

    def report(self, job_id: str, lease: int | None, percent: int) -> None:
        job = self.require_run(job_id, lease)
        job.progress = min(percent, 100)
        job.messages += 1

    def come_back(self, job: ModelJob, now: int, delay_ms: int) -> None:
        job.state, job.run_at = ("delayed", now + delay_ms) if delay_ms else ("waiting", None)
        job.has_waited_elsewhere = True

    # --- people ------------------------------------------------------------------------------------

    def require(self, job_id: str) -> ModelJob:
        if job_id not in self.jobs:
            raise Refused("JOB_NOT_FOUND")
        return self.jobs[job_id]

    def cancel(self, job_id: str, now: int) -> None:
        job = self.require(job_id)
        if job.state == "active":
            job.is_cancel_requested = True
        elif job.state in PENDING:
            self.end(job_id, "cancelled", now)
        else:
            raise Refused("INVALID_STATE")

    def retry(self, job_id: str, now: int) -> None:
        job = self.require(job_id)
        if job.state not in DEAD:
            raise Refused("INVALID_STATE")
        if job_id not in self.revive([job_id]):
            raise Refused("DUPLICATE_KEY" if self.is_key_held(job) else "INVALID_STATE")

    def retry_dead(self, queue: str, now: int) -> int:
        return len(self.revive([each for each, job in self.jobs.items() if (job.queue, job.state) == (queue, "dlq")]))

    def revive(self, roots: list[str]) -> list[str]:
        """With those that ended because of them; the oldest first of those whose parents can complete again."""
        candidates = set(roots)
        while more := {
            each
            for each, job in self.jobs.items()
            if each not in candidates and job.is_ended_by_parent and not candidates.isdisjoint(job.parents)
        }:
            candidates |= more
        revived: list[str] = []
        while ready := [each for each in sorted(candidates) if self.can_run_again(self.jobs[each])]:
            job = self.jobs[ready[0]]
            candidates.discard(ready[0])
            if not self.is_key_held(job):
                job.state, job.is_ended_by_parent = "waiting", False
                job.attempt, job.run_at, job.expires_at, job.progress = 0, None, None, None
                job.has_waited_elsewhere = True
                revived.append(ready[0])
        for each, job in self.jobs.items():
            waits_again = job.state == "blocked" and job.goes_on and not set(revived).isdisjoint(job.parents)
            if each in revived or waits_again:
                self.look_at_parents(job)
                job.state = "blocked" if job.waits_for else "waiting"
        return revived

    def can_run_again(self, job: ModelJob) -> bool:
        return job.goes_on or all(self.jobs[each].state not in DEAD for each in job.parents if each in self.jobs)

    def is_key_held(self, job: ModelJob) -> bool:
        return job.unique_key is not None and any(
            (each.queue, each.unique_key) == (job.queue, job.unique_key) and each.state in LIVE
            for each in self.jobs.values()
        )

    def delete(self, job_id: str, now: int) -> None:
        job = self.require(job_id)
        if job.state == "active":
            raise Refused("INVALID_STATE")
        if job.state in PENDING:
            self.cascade({job_id: "cancelled"}, now)
        del self.jobs[job_id]

    def purge(self, queue: str, state: str, now: int) -> None:
        """Newest first, so that a purge of blocked jobs takes children before their parents; until none is left.

        A child that runs whatever becomes of its parents begins to wait when the parent is removed.
        """
        while found := [job_id for job_id, job in self.jobs.items() if (job.queue, job.state) == (queue, state)]:
            self.delete(max(found), now)

    def end(self, job_id: str, state: str, now: int) -> None:
        self.jobs[job_id].state, self.jobs[job_id].ended_at = state, now
        self.cascade({job_id: state}, now)

    def cascade(self, level: dict[str, str], now: int) -> None:
        """Parents that cannot complete take the blocked jobs below them along, level by level, or let them go on."""
        while level:
            below: dict[str, str] = {}
            for job_id, job in list(self.jobs.items()):
                ended = sorted(parent for parent in job.parents if parent in level)
                if job.state != "blocked" or not ended:
                    continue
                if job.goes_on:
                    job.has_seen_failure = job.on_parent_failure == "only"
                    self.count_off(job_id, set(ended), now)
                else:
                    below[job_id] = level[ended[0]] if job.on_parent_failure == "fail" else "cancelled"
            for job_id, state in below.items():
                job = self.jobs[job_id]
                job.state, job.ended_at, job.is_ended_by_parent = state, now, True
            level = below

    def count_off(self, job_id: str, parents: set[str], now: int) -> None:
        """One thing less, or more, to wait for."""
        job = self.jobs[job_id]
        job.waits_for -= parents
        if job.waits_for:
            return
        if job.on_parent_failure == "only" and not job.has_seen_failure:
            self.skip(job_id, now)
            return
        is_later = job.run_at is not None and job.run_at > now
        job.state, job.run_at = ("delayed", job.run_at) if is_later else ("waiting", None)

    def skip(self, job_id: str, now: int) -> None:
        """It waited for a failure, and there was none."""
        self.jobs[job_id].is_ended_by_parent = True
        self.end(job_id, "cancelled", now)


def _order(job: ModelJob) -> tuple[int, int, int]:
    return (-job.priority, -job.number if job.lifo else 0, job.number)


def _backoff_ms(job: ModelJob) -> int:
    factor = {"fixed": 1, "linear": job.attempt, "exponential": 2 ** (job.attempt - 1)}[job.backoff]
    return int(job.backoff_delay_ms * factor)
