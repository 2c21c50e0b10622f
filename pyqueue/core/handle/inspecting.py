"""Looking at jobs and queues."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pyqueue.core import ids, limits, validate
from pyqueue.core.clock import from_datetime
from pyqueue.core.engine import queues, workers
from pyqueue.core.engine.intervene import require_job
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle import waiting
from pyqueue.core.handle.refs import JobOrId, job_id
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import Attempt, Job, JobPage, QueueCounts, QueueInfo
from pyqueue.core.presence import WorkerInfo
from pyqueue.core.states import JobState
from pyqueue.core.store import jobs
from pyqueue.core.store.jobs import Filter
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.validate import integer


class Inspecting:
    """The part of a handle that only reads: one snapshot per call, beside any writer."""

    _runtime: Runtime

    def get_job(self, job: JobOrId, *, wait_ms: int = 0) -> Job:
        """The job as it is now, with its logs and parents; one that has not ended, after waiting for that so long.

        Raises:
            JobNotFound: no such job here. ValidationError: not an id at all.
        """
        name = job_id(job)
        if integer(wait_ms, "wait_ms", 0, limits.WAIT_MS_MAX):
            return waiting.ended(self._runtime, name, wait_ms / 1_000)
        return self._runtime.read(lambda tx: require_job(tx, name))

    async def aget_job(self, job: JobOrId, *, wait_ms: int = 0) -> Job:
        """`get_job` for event loops."""
        name = job_id(job)
        if integer(wait_ms, "wait_ms", 0, limits.WAIT_MS_MAX):
            return await waiting.aended(self._runtime, name, wait_ms / 1_000)
        return await self._runtime.aread(lambda tx: require_job(tx, name))

    def list_jobs(
        self,
        *,
        queue: str | None = None,
        state: JobState | str | None = None,
        name: str | None = None,
        tag: str | None = None,
        flow_id: str | None = None,
        custom_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        """A page of the jobs that meet all the given conditions, newest first, without logs and parents.

        At most `limit` (1–1,000) jobs; pass `next_cursor` on as `cursor` for the next page. Pages do
        not shift when jobs are added meanwhile.
        """
        wanted = filter_of(queue, state, name, tag, flow_id, custom_id, created_after, created_before)
        return self._runtime.read(lambda tx: _page(tx, wanted, limit, cursor))

    async def alist_jobs(
        self,
        *,
        queue: str | None = None,
        state: JobState | str | None = None,
        name: str | None = None,
        tag: str | None = None,
        flow_id: str | None = None,
        custom_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        """`list_jobs` for event loops."""
        wanted = filter_of(queue, state, name, tag, flow_id, custom_id, created_after, created_before)
        return await self._runtime.aread(lambda tx: _page(tx, wanted, limit, cursor))

    def attempts(self, job: JobOrId) -> list[Attempt]:
        """Every failed try of a job, oldest first, also those before a `retry`."""
        return self._runtime.read(lambda tx: jobs.attempts(tx, require_job(tx, job_id(job)).key))

    async def aattempts(self, job: JobOrId) -> list[Attempt]:
        """`attempts` for event loops."""
        return await self._runtime.aread(lambda tx: jobs.attempts(tx, require_job(tx, job_id(job)).key))

    def stats(self, queue: str) -> QueueCounts:
        """How many jobs of a queue are in each state; kept as counters, so equally cheap at any size."""
        name = validate.queue_name(queue)
        return self._runtime.read(lambda tx: queues.stats(tx, name))

    async def astats(self, queue: str) -> QueueCounts:
        """`stats` for event loops."""
        name = validate.queue_name(queue)
        return await self._runtime.aread(lambda tx: queues.stats(tx, name))

    def queues(self) -> list[QueueInfo]:
        """All queues that have jobs (in any state) or are paused, by name."""
        return self._runtime.read(queues.overview)

    async def aqueues(self) -> list[QueueInfo]:
        """`queues` for event loops."""
        return await self._runtime.aread(queues.overview)

    def workers(self) -> list[WorkerInfo]:
        """The workers of all processes that were heard of within the last half minute, with the jobs they hold."""
        return self._runtime.read(workers.living)

    async def aworkers(self) -> list[WorkerInfo]:
        """`workers` for event loops."""
        return await self._runtime.aread(workers.living)

    def wait_for(self, job: JobOrId, timeout: float | None = None) -> Any:
        """Waits until a job has finished and returns its result. `timeout` in seconds; None waits for ever.

        Raises:
            JobFailed: it became a dead letter. JobCancelled: it was cancelled or expired.
            WaitTimeout: it has not finished in time; also a TimeoutError.
            JobNotFound: there is no such job, or it was removed on completion.
        """
        return waiting.wait_for(self._runtime, job_id(job), _seconds(timeout))

    async def await_for(self, job: JobOrId, timeout: float | None = None) -> Any:
        """`wait_for` for event loops."""
        return await waiting.await_for(self._runtime, job_id(job), _seconds(timeout))


def filter_of(
    queue: str | None,
    state: JobState | str | None,
    name: str | None,
    tag: str | None,
    flow_id: str | None,
    custom_id: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
) -> Filter:
    return Filter(
        queue=None if queue is None else validate.queue_name(queue),
        state=None if state is None else parse_state(state).code,
        name=None if name is None else validate.job_name(name),
        tag=None if tag is None else validate.text(tag, "tag", limits.TAG_BYTES_MAX),
        flow_id=None if flow_id is None else validate.text(flow_id, "flow_id", limits.LABEL_BYTES_MAX),
        custom_id=None if custom_id is None else validate.text(custom_id, "custom_id", limits.LABEL_BYTES_MAX),
        from_key=_first_key(created_after, "created_after"),
        before_key=_first_key(created_before, "created_before"),
    )


def _page(tx: Transaction, wanted: Filter, limit: int, cursor: str | None) -> JobPage:
    validate.integer(limit, "limit", 1, limits.LIST_LIMIT_MAX)
    found = jobs.page(tx, wanted, limit + 1, before_key=None if cursor is None else tx.key_of(cursor))
    page = found[:limit]
    return JobPage(page, page[-1].id if len(found) > limit else None)


def _seconds(timeout: object) -> float | None:
    """A timeout as given; one that is over already (below 0) is fine, one that never comes (nan) is not."""
    if timeout is None or (isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout == timeout):
        return timeout
    raise ValidationError(f"timeout {validate.shown(timeout)}; expected seconds, or None to wait for ever.")


def parse_state(state: object) -> JobState:
    """A state by its name.

    Raises:
        ValidationError: naming the known ones.
    """
    try:
        return JobState(state)  # type: ignore[arg-type]  # anything may be asked; a stranger is refused below
    except ValueError:
        raise ValidationError(f"state {validate.shown(state)}; expected one of: {', '.join(JobState)}.") from None


def _first_key(moment: datetime | None, what: str) -> int | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValidationError(f"{what} {validate.shown(moment)}; expected a datetime with a time zone.")
    return ids.first_key(max(0, from_datetime(moment)))
