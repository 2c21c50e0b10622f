"""What a running task can know and say of its job."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, Protocol, TypeVar, cast

from pyqueue.core import limits
from pyqueue.core.errors import InvalidState
from pyqueue.core.flow import ParentResults
from pyqueue.core.handle.steps import StepForm
from pyqueue.core.job import HeartbeatResult, Job

P = ParamSpec("P")
R = TypeVar("R")

_ASK_AGAIN_SECONDS: Final = 1.0


class ContextQueue(Protocol):
    """The calls of a queue that a running job needs."""

    def progress(self, job: Job, percent: int, message: str | None = None, /) -> None: ...

    async def aprogress(self, job: Job, percent: int, message: str | None = None, /) -> None: ...

    def log(self, job: Job, message: str, /) -> None: ...

    async def alog(self, job: Job, message: str, /) -> None: ...

    def heartbeat(self, job: Job, /, *, lease_ms: int) -> HeartbeatResult: ...

    async def aheartbeat(self, job: Job, /, *, lease_ms: int) -> HeartbeatResult: ...

    def parent_results(self, job: Job, /) -> ParentResults: ...

    async def aparent_results(self, job: Job, /) -> ParentResults: ...

    def once(self, job: Job, step: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    async def aonce(
        self, job: Job, step: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...


class JobContext:
    """Given to a task that has a parameter annotated with it; such a parameter is no argument of the job.

    In a task that is called directly there is no job: messages then go nowhere, nothing is cancelled, and each
    step is simply called.
    """

    def __init__(self, job: Job | None = None, queue: ContextQueue | None = None) -> None:
        self._job, self._queue = job, queue
        self._key = uuid.uuid4().hex if job is None else job.id
        self._is_cancelled = False
        self._asked_at = 0.0

    @property
    def job(self) -> Job:
        """The job as it was pulled.

        Raises:
            InvalidState: the task was called directly.
        """
        if self._job is None:
            raise InvalidState("this task was called directly, so there is no job; push it to have one.")
        return self._job

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of the job, and for no other: for services that do a thing once per key."""
        return self._key

    def progress(self, percent: int, message: str | None = None) -> None:
        """Notes how far the job has come (0–100), and a message for its log."""
        if self._queue is not None:
            self._queue.progress(self.job, percent, message)

    async def aprogress(self, percent: int, message: str | None = None) -> None:
        """`progress` for event loops."""
        if self._queue is not None:
            await self._queue.aprogress(self.job, percent, message)

    def log(self, message: str) -> None:
        """Adds a message to the job's log, for those who look at it; the newest 1,000 are kept."""
        if self._queue is not None:
            self._queue.log(self.job, message)

    async def alog(self, message: str) -> None:
        """`log` for event loops."""
        if self._queue is not None:
            await self._queue.alog(self.job, message)

    def heartbeat(self) -> None:
        """Extends the lease now. A worker does so by itself; this also asks whether the run is still ours.

        Raises:
            LeaseLost, InvalidState, JobNotFound: the run is over, and its result will not be taken.
        """
        if self._queue is not None:
            self._note(self._queue.heartbeat(self.job, lease_ms=self._lease_ms))

    async def aheartbeat(self) -> None:
        """`heartbeat` for event loops."""
        if self._queue is not None:
            self._note(await self._queue.aheartbeat(self.job, lease_ms=self._lease_ms))

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked for the job to stop. Asks the database at most once a second.

        On an event loop, where a worker cancels the task anyway, ask after `await aheartbeat()`.

        Raises:
            LeaseLost, InvalidState, JobNotFound: the run is over, and its result will not be taken.
        """
        if not self._is_cancelled and time.monotonic() - self._asked_at >= _ASK_AGAIN_SECONDS:
            self.heartbeat()
        return self._is_cancelled

    def once(self, step: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function and keeps its result with the job: later attempts are given it without a call.

        See `PyQueue.once` for what is kept, and when a function is called again all the same.
        """
        if self._queue is not None:
            return self._queue.once(self.job, step, function, *args, **kwargs)
        form = StepForm(step, function)
        return cast(R, form.decoded(form.encoded(function(*args, **kwargs))))

    async def aonce(self, step: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`once` for event loops and coroutine functions."""
        if self._queue is not None:
            return await self._queue.aonce(self.job, step, function, *args, **kwargs)
        form = StepForm(step, function)
        return cast(R, form.decoded(form.encoded(await function(*args, **kwargs))))

    def parent_results(self) -> ParentResults:
        """The jobs that this one waited for, with what they gave; found by place, ref, id or name."""
        return ParentResults(()) if self._queue is None else self._queue.parent_results(self.job)

    async def aparent_results(self) -> ParentResults:
        """`parent_results` for event loops."""
        return ParentResults(()) if self._queue is None else await self._queue.aparent_results(self.job)

    @property
    def _lease_ms(self) -> int:
        """The lease as the worker has chosen it: a heartbeat for another one would cut it short."""
        job = self.job
        if job.lease_us is None or job.started_us is None:
            return limits.LEASE_MS_DEFAULT
        return min(max((job.lease_us - job.started_us) // 1_000, limits.LEASE_MS_MIN), limits.LEASE_MS_MAX)

    def _note(self, result: HeartbeatResult) -> None:
        self._asked_at = time.monotonic()
        self._is_cancelled = result.cancel_requested
