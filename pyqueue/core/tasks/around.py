"""What surrounds the run of a job in a worker: the context it was started in, signals, and wraps.

In this order: `before_run` is sent, the wraps are entered (those of the queue before those of a registry,
and each in the order of their registration), the function runs, the wraps are left in reverse order,
and `after_run` or `run_failed` is sent. What leaves the outermost wrap is the outcome of the run.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from contextvars import copy_context
from functools import partial
from typing import Any

from pyqueue.core.current import enter
from pyqueue.core.errors import ConfigError
from pyqueue.core.job import Job
from pyqueue.core.signals import after_run, before_run, run_failed, tell
from pyqueue.core.validate import shown

Surrounding = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]
Wrap = Callable[[Job], Surrounding]


def wrap_of(hook: Callable[[Job], Any]) -> Wrap:
    """A hook as a function that gives context managers; one that yields is made such a function.

    Raises:
        ConfigError: it is no function, or a coroutine function that does not yield.
    """
    if inspect.isgeneratorfunction(hook):
        return contextmanager(hook)
    if inspect.isasyncgenfunction(hook):
        return asynccontextmanager(hook)
    if not callable(hook) or inspect.iscoroutinefunction(hook):
        raise ConfigError(
            f"wrap() got {shown(hook)}; expected a function of a job that yields once, or gives a context manager."
        )
    return hook


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
        with self._signals(job) as results:
            async with AsyncExitStack() as stack:
                for wrap in wraps:
                    await _enter(stack, wrap(job))
                results.append(await call())
            return results[0] if results else None

    def handling(self, handler: Callable[[Job], Any], wraps: Callable[[], Sequence[Wrap]]) -> Callable[[Job], Any]:
        """A handler that does the same as another one, surrounded."""
        call = handler if inspect.isfunction(handler) or inspect.ismethod(handler) else type(handler).__call__
        if not inspect.iscoroutinefunction(call):
            return lambda job: self.run(job, wraps(), partial(handler, job))

        async def ahandle(job: Job) -> Any:
            return await self.arun(job, wraps(), partial(handler, job))

        return ahandle

    def _run(self, job: Job, wraps: Sequence[Wrap], call: Callable[[], Any]) -> Any:
        with self._signals(job) as results:
            with ExitStack() as stack:
                for wrap in wraps:
                    surrounding = wrap(job)
                    if isinstance(surrounding, AbstractContextManager):
                        stack.enter_context(surrounding)
                results.append(call())
            return results[0] if results else None

    @contextmanager
    def _signals(self, job: Job) -> Iterator[list[Any]]:
        """Sends the signals of a run around the block, which is to put the result into the list."""
        enter(job)
        results: list[Any] = []
        tell(before_run, self._sender, job=job)
        try:
            yield results
        except BaseException as error:
            tell(run_failed, self._sender, job=job, error=error)
            raise
        tell(after_run, self._sender, job=job, result=results[0] if results else None)


async def _enter(stack: AsyncExitStack, surrounding: Surrounding) -> None:
    """On the event loop the async form of a context manager goes first; a plain one must not block."""
    if isinstance(surrounding, AbstractAsyncContextManager):
        await stack.enter_async_context(surrounding)
    else:
        stack.enter_context(surrounding)
