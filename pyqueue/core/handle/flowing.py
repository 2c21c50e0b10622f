"""Building flows and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pyqueue.core.engine.batches import waiting_for
from pyqueue.core.engine.push import PushFlow
from pyqueue.core.follows import ParentFailure
from pyqueue.core.handle.flows import flow_id_of
from pyqueue.core.handle.inspecting import Inspecting
from pyqueue.core.handle.joined import Joining
from pyqueue.core.handle.producing import Producing
from pyqueue.core.handle.working import Working

if TYPE_CHECKING:
    from pyqueue.core.flows.batch import Batch
    from pyqueue.core.flows.builder import Flow
    from pyqueue.core.tasks.call import Call


class Flowing(Producing, Working, Inspecting, Joining):
    """The part of a handle that puts jobs together."""

    def flow(self, flow_id: str | None = None) -> Flow:
        """A new flow, to add jobs to and push as a whole. Without `flow_id` it gets a random one."""
        from pyqueue.core.flows.builder import Flow

        return Flow(self, flow_id)

    def batch(
        self,
        batch_id: str | None = None,
        *,
        on_complete: Call[Any] | None = None,
        on_failure: Call[Any] | None = None,
        on_end: Call[Any] | None = None,
    ) -> Batch:
        """A new batch: any number of jobs, added while they run already, and what is to follow when all have ended.

        `on_complete` runs when all have completed, `on_failure` when all have ended and one has not completed,
        `on_end` when all have ended; each once.
        """
        from pyqueue.core.flows.batch import Batch

        wanted = {ParentFailure.CANCEL: on_complete, ParentFailure.ONLY: on_failure, ParentFailure.RUN: on_end}
        callbacks = {policy: call for policy, call in wanted.items() if call is not None}
        return Batch(self, self._runtime, batch_id, callbacks)

    def open_batch(self, batch_id: str) -> Batch:
        """A batch that was begun elsewhere and is not closed, to add further jobs to it, or to close it."""
        from pyqueue.core.flows.batch import Batch

        name = flow_id_of(batch_id)
        return Batch.opened(self, self._runtime, name, self._runtime.read(lambda tx: waiting_for(tx, name)))

    async def aopen_batch(self, batch_id: str) -> Batch:
        """`open_batch` for event loops."""
        from pyqueue.core.flows.batch import Batch

        name = flow_id_of(batch_id)
        waiting = await self._runtime.aread(lambda tx: waiting_for(tx, name))
        return Batch.opened(self, self._runtime, name, waiting)

    def store_flow(self, operation: PushFlow) -> list[str]:
        """Stores what `flow` or `batch` has put together; gives the ids in order."""
        return self._stored(msgspec.structs.replace(operation, depth_max=self._depth_max))

    async def astore_flow(self, operation: PushFlow) -> list[str]:
        """`store_flow` for event loops."""
        return await self._astored(msgspec.structs.replace(operation, depth_max=self._depth_max))
