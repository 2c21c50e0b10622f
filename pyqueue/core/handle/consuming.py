"""Taking jobs, and saying what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pyqueue.core import limits, validate
from pyqueue.core.engine.finish import Ack, Fail, Ref, Release
from pyqueue.core.engine.lease import Heartbeat, Progress
from pyqueue.core.engine.pull import Pull
from pyqueue.core.errors import PyQueueError, ValidationError
from pyqueue.core.handle import waiting
from pyqueue.core.handle.refs import AckItem, JobOrId, ack_items, acked, each_of, error_of, ref_of
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import AckResult, FailResult, HeartbeatResult, Job
from pyqueue.core.validate import integer


class Consuming:
    """The part of a handle that workers use.

    `job` is a `Job` that was pulled, which carries its lease, or an id. With an id and no
    `lease` the word is taken for whichever run is active.
    """

    _runtime: Runtime
    _lease_ms: int

    def pull(
        self,
        queue: str | Sequence[str],
        *,
        count: int = 1,
        wait_ms: int = 0,
        lease_ms: int | None = None,
        worker_id: str | None = None,
    ) -> list[Job]:
        """Takes up to `count` jobs, the most urgent first, each under a lease of `lease_ms`.

        Several queues are served in order of preference. With nothing to take, waits up to
        `wait_ms` for the first job and returns what is there then; an empty list at the end.
        A job not finished or kept alive by `heartbeat` within its lease counts as a failed attempt.
        """
        operation = self._pull_of(queue, count, lease_ms, worker_id)
        integer(wait_ms, "wait_ms", 0, limits.WAIT_MS_MAX)
        return self._runtime.write(operation) or waiting.pull(self._runtime, operation, wait_ms)

    async def apull(
        self,
        queue: str | Sequence[str],
        *,
        count: int = 1,
        wait_ms: int = 0,
        lease_ms: int | None = None,
        worker_id: str | None = None,
    ) -> list[Job]:
        """`pull` for event loops."""
        operation = self._pull_of(queue, count, lease_ms, worker_id)
        integer(wait_ms, "wait_ms", 0, limits.WAIT_MS_MAX)
        return await self._runtime.awrite(operation) or await waiting.apull(self._runtime, operation, wait_ms)

    def ack(self, job: JobOrId, result: Any = None, *, lease: int | None = None) -> None:
        """Completes a job and keeps its `result` (JSON).

        Raises:
            JobNotFound, InvalidState: the job is gone, or not active (any more).
            LeaseLost: it was handed out again; that run decides.
        """
        _raise_first(self._runtime.write(_ack_of(job, result, lease)))

    async def aack(self, job: JobOrId, result: Any = None, *, lease: int | None = None) -> None:
        """`ack` for event loops."""
        _raise_first(await self._runtime.awrite(_ack_of(job, result, lease)))

    def ack_many(self, items: Iterable[AckItem]) -> list[AckResult]:
        """Completes several jobs in one transaction, each by itself; one outcome for each item, in order.

        An item is a job, an id, or a tuple of one of these and a result; behind an id and its result the
        lease may be named too.
        """
        acks = ack_items(items)
        return acks.results(self._runtime.write(Ack(acks.entries))) if acks.entries else []

    async def aack_many(self, items: Iterable[AckItem]) -> list[AckResult]:
        """`ack_many` for event loops."""
        acks = ack_items(items)
        return acks.results(await self._runtime.awrite(Ack(acks.entries))) if acks.entries else []

    def fail(
        self,
        job: JobOrId,
        error: str | BaseException,
        *,
        lease: int | None = None,
        retry: bool = True,
        delay_ms: int | None = None,
        discard: bool = False,
    ) -> FailResult:
        """Reports a failed attempt: another one follows after the job's backoff, or it becomes a dead letter.

        An exception is kept as its traceback. `delay_ms` replaces the backoff this once;
        `retry=False` gives up at once; `discard=True` ends the job as cancelled
        rather than as a dead letter, since nobody needs to look at it.

        Raises:
            ValidationError: the text has more than 10,240 bytes. The job stays active.
            JobNotFound, InvalidState, LeaseLost: as for `ack`.
        """
        return self._runtime.write(_fail_of(job, error, lease, retry, delay_ms, discard))

    async def afail(
        self,
        job: JobOrId,
        error: str | BaseException,
        *,
        lease: int | None = None,
        retry: bool = True,
        delay_ms: int | None = None,
        discard: bool = False,
    ) -> FailResult:
        """`fail` for event loops."""
        return await self._runtime.awrite(_fail_of(job, error, lease, retry, delay_ms, discard))

    def release(self, job: JobOrId, *, delay_ms: int = 0, lease: int | None = None) -> None:
        """Gives a job back unfinished, to be pulled again after `delay_ms`. No attempt is counted.

        Raises what `ack` raises.
        """
        self._runtime.write(_release_of(job, delay_ms, lease))

    async def arelease(self, job: JobOrId, *, delay_ms: int = 0, lease: int | None = None) -> None:
        """`release` for event loops."""
        await self._runtime.awrite(_release_of(job, delay_ms, lease))

    def heartbeat(self, job: JobOrId, *, lease_ms: int | None = None, lease: int | None = None) -> HeartbeatResult:
        """Extends the lease to `lease_ms` from now (never beyond the job's timeout); tells whether to stop.

        Raises what `ack` raises.
        """
        return _only(self._runtime.write(self._heartbeat_of([ref_of(job, lease)], lease_ms)))

    async def aheartbeat(
        self, job: JobOrId, *, lease_ms: int | None = None, lease: int | None = None
    ) -> HeartbeatResult:
        """`heartbeat` for event loops."""
        return _only(await self._runtime.awrite(self._heartbeat_of([ref_of(job, lease)], lease_ms)))

    def heartbeat_many(
        self, jobs: Iterable[JobOrId], *, lease_ms: int | None = None
    ) -> list[HeartbeatResult | PyQueueError]:
        """`heartbeat` for several jobs in one transaction: a result or an error for each, in order."""
        operation = self._heartbeat_of([ref_of(job) for job in each_of(jobs, "heartbeat_many")], lease_ms)
        return self._runtime.write(operation) if operation.refs else []

    async def aheartbeat_many(
        self, jobs: Iterable[JobOrId], *, lease_ms: int | None = None
    ) -> list[HeartbeatResult | PyQueueError]:
        """`heartbeat_many` for event loops."""
        operation = self._heartbeat_of([ref_of(job) for job in each_of(jobs, "heartbeat_many")], lease_ms)
        return await self._runtime.awrite(operation) if operation.refs else []

    def progress(self, job: JobOrId, percent: int, message: str | None = None, *, lease: int | None = None) -> None:
        """Notes how far an active job has come (0–100, more counts as 100), and a message for its log.

        The newest 1,000 messages of a job are kept. Raises what `ack` raises.
        """
        self._runtime.write(_progress_of(job, percent, message, lease))

    async def aprogress(
        self, job: JobOrId, percent: int, message: str | None = None, *, lease: int | None = None
    ) -> None:
        """`progress` for event loops."""
        await self._runtime.awrite(_progress_of(job, percent, message, lease))

    def log(self, job: JobOrId, message: str, *, lease: int | None = None) -> None:
        """Adds a message to the log of an active job, of which the newest 1,000 are kept. Raises what `ack` raises."""
        self._runtime.write(_log_of(job, message, lease))

    async def alog(self, job: JobOrId, message: str, *, lease: int | None = None) -> None:
        """`log` for event loops."""
        await self._runtime.awrite(_log_of(job, message, lease))

    def _pull_of(self, queue: str | Sequence[str], count: int, lease_ms: int | None, worker_id: str | None) -> Pull:
        if not isinstance(queue, str | Iterable):
            raise ValidationError(f"pull got {validate.shown(queue)}; expected the name of a queue or a list of names.")
        names = (queue,) if isinstance(queue, str) else tuple(dict.fromkeys(queue))
        if not names:
            raise ValidationError("pull got no queue; expected a name or a list of names.")
        if worker_id is not None:
            validate.text(worker_id, "worker_id", limits.LABEL_BYTES_MAX)
        return Pull(
            tuple(map(validate.queue_name, names)),
            min(integer(count, "count", 0, 2**63 - 1), limits.PULL_COUNT_MAX),
            self._lease_of(lease_ms),
            worker_id,
        )

    def _heartbeat_of(self, refs: Sequence[Ref], lease_ms: int | None) -> Heartbeat:
        return Heartbeat(tuple(refs), self._lease_of(lease_ms))

    def _lease_of(self, lease_ms: int | None) -> int:
        if lease_ms is None:
            return self._lease_ms
        return integer(lease_ms, "lease_ms", limits.LEASE_MS_MIN, limits.LEASE_MS_MAX)


def _ack_of(job: JobOrId, result: Any, lease: int | None) -> Ack:
    return Ack((acked(job, lease, result),))


def _fail_of(
    job: JobOrId, error: str | BaseException, lease: int | None, retry: bool, delay_ms: int | None, discard: bool
) -> Fail:
    if delay_ms is not None:
        integer(delay_ms, "delay_ms", 0, limits.DURATION_MS_MAX)
    return Fail(
        ref_of(job, lease),
        error_of(error),
        validate.boolean(retry, "retry"),
        delay_ms,
        validate.boolean(discard, "discard"),
    )


def _release_of(job: JobOrId, delay_ms: int, lease: int | None) -> Release:
    return Release(ref_of(job, lease), integer(delay_ms, "delay_ms", 0, limits.DURATION_MS_MAX))


def _progress_of(job: JobOrId, percent: int, message: str | None, lease: int | None) -> Progress:
    if message is not None:
        validate.text(message, "progress message", limits.MESSAGE_BYTES_MAX)
    return Progress(ref_of(job, lease), min(100, integer(percent, "progress", 0, 2**63 - 1)), message)


def _log_of(job: JobOrId, message: str, lease: int | None) -> Progress:
    return Progress(ref_of(job, lease), None, validate.text(message, "log message", limits.MESSAGE_BYTES_MAX))


def _raise_first(errors: Sequence[PyQueueError | None]) -> None:
    if errors[0] is not None:
        raise errors[0]


def _only(results: Sequence[HeartbeatResult | PyQueueError]) -> HeartbeatResult:
    [result] = results
    if isinstance(result, PyQueueError):
        raise result
    return result
