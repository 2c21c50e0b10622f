"""What surrounds a push: hooks that see it, and may add to the metadata of its jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import msgspec

from pyqueue.core.engine.push import Push, PushFlow
from pyqueue.core.errors import ConfigError
from pyqueue.core.options import with_metadata
from pyqueue.core.surround import Surrounding, aenter, enter


class Pushing:
    """A push in progress, as its hooks see it.

    `metadata`: what a hook puts here before it yields is added to the metadata of every job. A job whose own
    metadata is no JSON object keeps it as it is. `ids`: of the jobs, once they are stored.
    `queue`: that of the jobs; of a flow over several, that of its first job.
    `is_joined`: it is part of a transaction of the caller's, which may still be rolled back.
    """

    def __init__(self, operation: Push | PushFlow, *, is_joined: bool = False) -> None:
        self._operation = operation
        self.queue = operation.queue
        self.names: Sequence[str] = [job.name for job in operation.jobs]
        self.metadata: dict[str, Any] = {}
        self.ids: list[str] = []
        self.is_joined = is_joined

    @property
    def operation(self) -> Push | PushFlow:
        """The push as it is to be made."""
        if not self.metadata:
            return self._operation
        jobs = tuple(with_metadata(job, self.metadata) for job in self._operation.jobs)
        return msgspec.structs.replace(self._operation, jobs=jobs)


PushWrap = Callable[[Pushing], Surrounding]


def surrounded(wraps: Sequence[PushWrap], pushing: Pushing, store: Callable[[Push | PushFlow], list[str]]) -> list[str]:
    """Stores the jobs within all wraps; gives their ids."""
    with ExitStack() as stack:
        for wrap in wraps:
            enter(stack, wrap(pushing))
        pushing.ids = store(pushing.operation)
        return pushing.ids
    raise _suppressed(pushing)


async def asurrounded(
    wraps: Sequence[PushWrap], pushing: Pushing, store: Callable[[Push | PushFlow], Awaitable[list[str]]]
) -> list[str]:
    """`surrounded` for event loops."""
    async with AsyncExitStack() as stack:
        for wrap in wraps:
            await aenter(stack, wrap(pushing))
        pushing.ids = await store(pushing.operation)
        return pushing.ids
    raise _suppressed(pushing)


def _suppressed(pushing: Pushing) -> ConfigError:
    return ConfigError(
        f"a hook of wrap_push suppressed the error of a push to {pushing.queue!r}, which has no id to return then; "
        "expected it to raise."
    )
