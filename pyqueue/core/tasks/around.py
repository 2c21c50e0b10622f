"""What surrounds the run of a job in a worker: the context it was started in, signals, and wraps.

In this order: `before_run` is sent, the wraps are entered (those of the queue before those of a registry,
and each in the order of their registration), the function runs, the wraps are left in reverse order,
and `after_run` or `run_failed` is sent. What leaves the outermost wrap is the outcome of the run.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from contextvars import copy_context
from functools import partial
from typing import Any

from pyqueue.core import current
from pyqueue.core.job import Job
from pyqueue.core.signals import after_run, before_run, run_failed, tell
from pyqueue.core.surround import Surrounding, aenter, enter

Wrap = Callable[[Job], Surrounding]


class Around:
    """Runs calls as the runs of jobs, in copies of the context in which it was made."""

    def __init__(self, sender: object) -> None:
        self._sender = sender
        self._context = copy_context()

    def run(self, job: Job, wraps: Sequence[Wrap], call: Callable[[], Any]) -> Any:
        """Runs a plain call. What it sets in its context is gone afterwards."""
        return self._context.copy().run(self._run, job, wraps, call)

    async def arun(self, job: Job, wraps: Sequence[Wrap], call: Callable[[], Awaitable[Any]]) -> Any:
        """`run` for coroutine functions, in an asyncio task of its own."""
        for variable, value in self._context.items():
            variable.set(value)
        current.enter(job)
        tell(before_run, self._sender, job=job)
        try:
            result = await (_awithin(job, wraps, call) if wraps else call())
        except BaseException as error:
            tell(run_failed, self._sender, job=job, error=error)
            raise
        tell(after_run, self._sender, job=job, result=result)
        return result

    def handling(self, handler: Callable[[Job], Any], wraps: Callable[[], Sequence[Wrap]]) -> Callable[[Job], Any]:
        """A handler that does the same as another one, surrounded."""
        call = handler if inspect.isfunction(handler) or inspect.ismethod(handler) else type(handler).__call__
        if not inspect.iscoroutinefunction(call):
            return lambda job: self.run(job, wraps(), partial(handler, job))

        async def ahandle(job: Job) -> Any:
            return await self.arun(job, wraps(), partial(handler, job))

        return ahandle

    def _run(self, job: Job, wraps: Sequence[Wrap], call: Callable[[], Any]) -> Any:
        current.enter(job)
        tell(before_run, self._sender, job=job)
        try:
            result = _within(job, wraps, call) if wraps else call()
        except BaseException as error:
            tell(run_failed, self._sender, job=job, error=error)
            raise
        tell(after_run, self._sender, job=job, result=result)
        return result


def _within(job: Job, wraps: Sequence[Wrap], call: Callable[[], Any]) -> Any:
    """The result of the call; None if a wrap suppressed its error."""
    with ExitStack() as stack:
        for wrap in wraps:
            enter(stack, wrap(job))
        return call()
    return None


async def _awithin(job: Job, wraps: Sequence[Wrap], call: Callable[[], Awaitable[Any]]) -> Any:
    async with AsyncExitStack() as stack:
        for wrap in wraps:
            await aenter(stack, wrap(job))
        return await call()
    return None
