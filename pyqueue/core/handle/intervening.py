"""Stepping in: cancel, retry, delete, purge, pause, resume."""

from __future__ import annotations

from collections.abc import Iterable

from pyqueue.core import validate
from pyqueue.core.engine.intervene import Cancel, Delete, Purge, Retry, RetryDead
from pyqueue.core.engine.queues import Pause, Resume
from pyqueue.core.errors import StateError, ValidationError
from pyqueue.core.handle.inspecting import parse_state
from pyqueue.core.handle.refs import JobOrId, each_of, job_id
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.states import JobState


class Intervening:
    """The part of a handle for people and their tools."""

    _runtime: Runtime

    def cancel(self, job: JobOrId, *, running: bool = True) -> JobState:
        """Withdraws a job, and with it those that wait for it. Returns its state afterwards.

        An active job stays `ACTIVE`: its worker is told at the next heartbeat, and should it
        fail, be given back or stall, it is cancelled instead of tried again. If it
        completes first, it is completed. With `running=False` one that runs is left alone.

        Raises:
            JobNotFound. InvalidState: it has ended already, or it runs and is to be left alone.
        """
        return self._runtime.write(Cancel(job_id(job), validate.boolean(running, "running")))

    async def acancel(self, job: JobOrId, *, running: bool = True) -> JobState:
        """`cancel` for event loops."""
        return await self._runtime.awrite(Cancel(job_id(job), validate.boolean(running, "running")))

    def retry(self, job: JobOrId) -> None:
        """Sends a dead or cancelled job round again, with all its attempts before it and its history kept.

        Raises:
            JobNotFound. InvalidState: neither dead nor cancelled. DuplicateKey: another holds its unique key.
        """
        self._runtime.write(Retry(job_id(job)))

    async def aretry(self, job: JobOrId) -> None:
        """`retry` for event loops."""
        await self._runtime.awrite(Retry(job_id(job)))

    def retry_many(self, jobs: Iterable[JobOrId]) -> int:
        """`retry` for each; those that cannot be retried are passed over. Returns how many were."""
        return sum(self._was_retried(job) for job in each_of(jobs, "retry_many"))

    async def aretry_many(self, jobs: Iterable[JobOrId]) -> int:
        """`retry_many` for event loops."""
        retried = 0
        for job in each_of(jobs, "retry_many"):
            try:
                await self.aretry(job)
                retried += 1
            except StateError:
                continue
        return retried

    def retry_dlq(self, queue: str) -> int:
        """Retries all dead letters of a queue, in chunks; returns how many."""
        name, after, retried = validate.queue_name(queue), 0, 0
        while True:
            number, last = self._runtime.write(RetryDead(name, after))
            retried += number
            if last is None:
                return retried
            after = last

    async def aretry_dlq(self, queue: str) -> int:
        """`retry_dlq` for event loops."""
        name, after, retried = validate.queue_name(queue), 0, 0
        while True:
            number, last = await self._runtime.awrite(RetryDead(name, after))
            retried += number
            if last is None:
                return retried
            after = last

    def delete(self, job: JobOrId) -> None:
        """Removes a job, its attempts and its logs; jobs that wait for it are cancelled.

        Raises:
            JobNotFound. InvalidState: it is active; cancel it first.
        """
        self._runtime.write(Delete(job_id(job)))

    async def adelete(self, job: JobOrId) -> None:
        """`delete` for event loops."""
        await self._runtime.awrite(Delete(job_id(job)))

    def purge(self, queue: str, *, state: JobState | str | None = None) -> int:
        """Removes the jobs of a queue in one state, or in all states but active; returns how many.

        Works in chunks, so that others can write meanwhile; a crash half-way leaves whole jobs.
        """
        removed = 0
        for first in _purges_of(queue, state):
            operation: Purge | None = first
            while operation is not None:
                number, last = self._runtime.write(operation)
                removed += number
                operation = _next_purge(operation, last)
        return removed

    async def apurge(self, queue: str, *, state: JobState | str | None = None) -> int:
        """`purge` for event loops."""
        removed = 0
        for first in _purges_of(queue, state):
            operation: Purge | None = first
            while operation is not None:
                number, last = await self._runtime.awrite(operation)
                removed += number
                operation = _next_purge(operation, last)
        return removed

    def pause(self, queue: str, *, pushes: bool = True, pulls: bool = False) -> None:
        """Refuses pushes to a queue (as RustQueue's pause does), and with `pulls=True` hands out none of its jobs.

        Lasts until `resume`, through restarts. Jobs that run are left alone.
        """
        self._runtime.write(_pause_of(queue, pushes, pulls))

    async def apause(self, queue: str, *, pushes: bool = True, pulls: bool = False) -> None:
        """`pause` for event loops."""
        await self._runtime.awrite(_pause_of(queue, pushes, pulls))

    def resume(self, queue: str) -> None:
        """Ends every pause of a queue. Does nothing to one that is not paused."""
        self._runtime.write(Resume(validate.queue_name(queue)))

    async def aresume(self, queue: str) -> None:
        """`resume` for event loops."""
        await self._runtime.awrite(Resume(validate.queue_name(queue)))

    def _was_retried(self, job: JobOrId) -> bool:
        try:
            self.retry(job)
        except StateError:
            return False
        return True


def _pause_of(queue: str, pushes: bool, pulls: bool) -> Pause:
    if not validate.boolean(pushes, "pushes") and not validate.boolean(pulls, "pulls"):
        raise ValidationError("pause got pushes=False and pulls=False; expected at least one of them to be True.")
    return Pause(validate.queue_name(queue), pushes, validate.boolean(pulls, "pulls"))


def _purges_of(queue: str, state: JobState | str | None) -> list[Purge]:
    name = validate.queue_name(queue)
    if state is None:
        return [Purge(name, each.code) for each in JobState if each is not JobState.ACTIVE]
    wanted = parse_state(state)
    if wanted is JobState.ACTIVE:
        raise ValidationError("purge got the state 'active'; expected another: jobs that run must be cancelled first.")
    return [Purge(name, wanted.code)]


def _next_purge(operation: Purge, last: int | None) -> Purge | None:
    return None if last is None else Purge(operation.queue, operation.state, last)
