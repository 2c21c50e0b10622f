"""Looking at flows, and stepping in."""

from __future__ import annotations

from pyqueue.core import limits, validate
from pyqueue.core.engine.whole_flows import CancelFlow, DeleteFlow, RetryFlow, parent_results, status
from pyqueue.core.flow import FlowStatus, ParentResults
from pyqueue.core.handle.refs import JobOrId, job_id
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.validate import integer


class WithFlows:
    """The part of a handle that looks at flows as a whole, and steps in."""

    _runtime: Runtime

    def get_flow(self, flow_id: str, *, limit: int = 1_000) -> FlowStatus:
        """How many jobs of a flow are in each state, and its `limit` (0–1,000) oldest jobs. An unknown one is empty."""
        name, number = flow_id_of(flow_id), integer(limit, "limit", 0, limits.LIST_LIMIT_MAX)
        return self._runtime.read(lambda tx: status(tx, name, number))

    async def aget_flow(self, flow_id: str, *, limit: int = 1_000) -> FlowStatus:
        """`get_flow` for event loops."""
        name, number = flow_id_of(flow_id), integer(limit, "limit", 0, limits.LIST_LIMIT_MAX)
        return await self._runtime.aread(lambda tx: status(tx, name, number))

    def parent_results(self, job: JobOrId) -> ParentResults:
        """The jobs that a job waited or waits for, with what they gave.

        A parent's result stays with the child when the parent is removed, if the child had not ended by then.

        Raises:
            JobNotFound.
        """
        return self._runtime.read(lambda tx: parent_results(tx, job_id(job)))

    async def aparent_results(self, job: JobOrId) -> ParentResults:
        """`parent_results` for event loops."""
        return await self._runtime.aread(lambda tx: parent_results(tx, job_id(job)))

    def cancel_flow(self, flow_id: str) -> int:
        """Withdraws what has not started of a flow, and asks the workers of the rest to stop. Returns how many jobs.

        One transaction. Jobs outside of the flow that wait for one of them see a cancelled parent.
        """
        return self._runtime.write(CancelFlow(flow_id_of(flow_id)))

    async def acancel_flow(self, flow_id: str) -> int:
        """`cancel_flow` for event loops."""
        return await self._runtime.awrite(CancelFlow(flow_id_of(flow_id)))

    def retry_flow(self, flow_id: str) -> int:
        """Sends the dead and cancelled jobs of a flow round again, and what ended because of them. Returns how many.

        One transaction. What completed stays so. Left out are jobs whose unique key another one holds, or with
        a dead parent in another flow, and those that wait for such jobs.
        """
        return self._runtime.write(RetryFlow(flow_id_of(flow_id)))

    async def aretry_flow(self, flow_id: str) -> int:
        """`retry_flow` for event loops."""
        return await self._runtime.awrite(RetryFlow(flow_id_of(flow_id)))

    def delete_flow(self, flow_id: str) -> int:
        """Removes all jobs of a flow, in one transaction; returns how many.

        Raises:
            InvalidState: some are active; cancel the flow first.
        """
        return self._runtime.write(DeleteFlow(flow_id_of(flow_id)))

    async def adelete_flow(self, flow_id: str) -> int:
        """`delete_flow` for event loops."""
        return await self._runtime.awrite(DeleteFlow(flow_id_of(flow_id)))


def flow_id_of(flow_id: object) -> str:
    return validate.text(flow_id, "flow_id", limits.LABEL_BYTES_MAX)
