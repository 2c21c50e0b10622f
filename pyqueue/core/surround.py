"""Context managers around something, given by hooks: plain ones and async ones, from functions that yield or return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, TypeVar

from pyqueue.core.errors import ConfigError
from pyqueue.core.validate import shown

T = TypeVar("T")

Surrounding = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]


def giving_managers(hook: Callable[[T], Any], call: str) -> Callable[[T], Surrounding]:
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
            f"{call}() got {shown(hook)}; expected a function that yields once, or gives a context manager."
        )
    return hook


def enter(stack: ExitStack, surrounding: Surrounding) -> None:
    """Enters a plain context manager; what is async only surrounds nothing here."""
    if isinstance(surrounding, AbstractContextManager):
        stack.enter_context(surrounding)


async def aenter(stack: AsyncExitStack, surrounding: Surrounding) -> None:
    """On an event loop the async form goes first; a plain one must not block."""
    if isinstance(surrounding, AbstractAsyncContextManager):
        await stack.enter_async_context(surrounding)
    else:
        stack.enter_context(surrounding)
