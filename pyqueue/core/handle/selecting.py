"""Stepping in on all jobs that meet some conditions."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pyqueue.core.engine.bulk import Bulk, BulkAction
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle.inspecting import filter_of
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.states import JobState
from pyqueue.core.validate import shown


class Selecting:
    """The part of a handle that does one thing with many jobs."""

    _runtime: Runtime

    def bulk(
        self,
        action: BulkAction | str,
        *,
        queue: str,
        state: JobState | str | None = None,
        name: str | None = None,
        tag: str | None = None,
        flow_id: str | None = None,
        custom_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> int:
        """Cancels, retries or deletes all jobs of a queue that meet the conditions of `list_jobs`; gives how many.

        `action`: "cancel" (jobs that run are asked to stop), "retry" or "delete". Jobs in a state that does not allow
        it are passed over. It is done a hundred jobs at a time, each hundred as a whole.

        Raises:
            ValidationError.
        """
        wanted = filter_of(queue, state, name, tag, flow_id, custom_id, created_after, created_before)
        operation, number = Bulk(_action(action), wanted), 0
        while True:
            done = self._runtime.write(operation)
            number += done.number
            if done.before_key is None:
                return number
            operation = msgspec.structs.replace(operation, before_key=done.before_key)

    async def abulk(
        self,
        action: BulkAction | str,
        *,
        queue: str,
        state: JobState | str | None = None,
        name: str | None = None,
        tag: str | None = None,
        flow_id: str | None = None,
        custom_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> int:
        """`bulk` for event loops."""
        wanted = filter_of(queue, state, name, tag, flow_id, custom_id, created_after, created_before)
        operation, number = Bulk(_action(action), wanted), 0
        while True:
            done = await self._runtime.awrite(operation)
            number += done.number
            if done.before_key is None:
                return number
            operation = msgspec.structs.replace(operation, before_key=done.before_key)


def _action(value: object) -> BulkAction:
    try:
        return BulkAction(value)  # type: ignore[arg-type]  # anything may be asked; a stranger is refused below
    except ValueError:
        raise ValidationError(f"action {shown(value)}; expected one of: {', '.join(BulkAction)}.") from None
