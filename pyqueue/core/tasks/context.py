"""What a running task can know and say of its job."""

from __future__ import annotations

import time
import uuid
from typing import Final, Protocol

from pyqueue.core.errors import InvalidState
from pyqueue.core.job import HeartbeatResult, Job

_ASK_AGAIN_SECONDS: Final = 1.0


class ContextQueue(Protocol):
    """The calls of a queue that a running job needs."""

    def progress(self, job: Job, percent: int, message: str | None = None, /) -> None: ...

    async def aprogress(self, job: Job, percent: int, message: str | None = None, /) -> None: ...

    def heartbeat(self, job: Job, /) -> HeartbeatResult: ...

    async def aheartbeat(self, job: Job, /) -> HeartbeatResult: ...


class JobContext:
    """Given to a task that has a parameter annotated with it; such a parameter is no argument of the job.

    In a task that is called directly there is no job: `progress` then does nothing, and nothing is cancelled.
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

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked for the job to stop. Asks the database at most once a second.

        Raises:
            LeaseLost, InvalidState, JobNotFound: the run is over, and its result will not be taken.
        """
        if self._queue is not None and not self._is_cancelled:
            now = time.monotonic()
            if now - self._asked_at >= _ASK_AGAIN_SECONDS:
                self._asked_at = now
                self._is_cancelled = self._queue.heartbeat(self.job).cancel_requested
        return self._is_cancelled
