"""Eager mode: what is pushed has run when push returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from pyqueue.core.current import current_job
from pyqueue.core.handle.pushing import Pushing
from pyqueue.core.queue import PyQueue


@contextmanager
def eager(queue: PyQueue, *, raises: bool = False) -> Iterator[None]:
    """Within the block each push also runs what is ready, by `drain`, before it returns.

    The job goes its whole way: it is stored as JSON, pulled, run and acknowledged. What is delayed, blocked or
    waits for a retry stays, and the clock stands still; `drain` takes it further. A job that is pushed by a running
    job runs after that one. Pushes inside the caller's transaction (`queue.on`) only wait, since they may
    be rolled back. `raises`: an error of a job is raised by the push that ran it, once it is stored.

    In event loops use `apush`: a plain push cannot run async tasks there.
    """

    def hook(pushing: Pushing) -> _Eagerly:
        return _Eagerly(queue, pushing, raises)

    queue.wrap_push(hook)
    try:
        yield
    finally:
        queue.unwrap_push(hook)


class _Eagerly:
    """Around one push: drains the queue after it."""

    def __init__(self, queue: PyQueue, pushing: Pushing, raises: bool) -> None:
        self._queue, self._pushing, self._raises = queue, pushing, raises

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._is_to_run():
            self._queue.drain(moves_clock=False, raises=self._raises)

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._is_to_run():
            await self._queue.adrain(moves_clock=False, raises=self._raises)

    def _is_to_run(self) -> bool:
        """Within a job, whoever runs that one goes on with this one."""
        return not self._pushing.is_joined and current_job() is None
