"""A flow as a whole: how far it is, and cancelled, retried or deleted in one transaction."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from pyqueue.core.engine import flows
from pyqueue.core.engine.finish import remove
from pyqueue.core.engine.intervene import require_job
from pyqueue.core.engine.revive import revive
from pyqueue.core.errors import InvalidState
from pyqueue.core.flow import FlowStatus, ParentResult, ParentResults
from pyqueue.core.follows import HAS_CHILDREN, HELD
from pyqueue.core.job import QueueCounts
from pyqueue.core.states import ACTIVE, CANCELLED, COMPLETED, STATES
from pyqueue.core.store import finish, jobs, whole_flows
from pyqueue.core.store import flows as dependencies
from pyqueue.core.store.transaction import Change, Transaction
from pyqueue.core.store.whole_flows import Member
from pyqueue.core.transitions import Event


def status(tx: Transaction, flow_id: str, limit: int) -> FlowStatus:
    """The counts of a flow, and its first jobs. A flow that nobody knows has none."""
    counts = {STATES[state].value: number for state, number in whole_flows.counts(tx, flow_id).items()}
    return FlowStatus(flow_id, QueueCounts(**counts), jobs.of_flow(tx, flow_id, limit) if limit else [])


def parent_results(tx: Transaction, job_id: str) -> ParentResults:
    """The parents of a job with what they gave.

    Raises:
        JobNotFound.
    """
    return ParentResults(
        [
            ParentResult(tx.text_of(key), ref, name, None if state is None else STATES[state], result)
            for key, ref, name, state, result in whole_flows.results(tx, require_job(tx, job_id).key)
        ]
    )


class CancelFlow(Struct, frozen=True):
    """Withdraws the jobs of a flow that have not started, asks the workers of the others to stop. Gives how many."""

    flow_id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> int:
        live = [member for member in whole_flows.members(tx, self.flow_id) if member.state < COMPLETED]
        pending = [member for member in live if member.state != ACTIVE]
        whole_flows.request_cancel(tx, [member.key for member in live if member.state == ACTIVE])
        finish.withdraw(tx, [member.key for member in pending], None)
        together: dict[tuple[str, int], list[int]] = {}
        for member in pending:
            together.setdefault((member.queue, member.state), []).append(member.key)
        for (queue, state), keys in together.items():
            tx.announce(Change(Event.CANCEL, queue, keys, state, CANCELLED))
        whole_flows.let_go_ended(tx, [member.key for member in pending if member.on_finish & HELD])
        _tell_children(tx, pending)
        return len(live)


class RetryFlow(Struct, frozen=True):
    """Sends all dead and cancelled jobs of a flow round again that can run, and what ended only because of them.

    Gives how many.
    """

    flow_id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> int:
        return len(revive(tx, dependencies.ended_of_flow(tx, self.flow_id)))


class DeleteFlow(Struct, frozen=True):
    """Removes all jobs of a flow; gives how many. Jobs outside of it that wait for one of them lose a parent.

    Raises:
        InvalidState: some of them are active.
    """

    flow_id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> int:
        members = whole_flows.members(tx, self.flow_id)
        active = [member for member in members if member.state == ACTIVE]
        if active:
            raise InvalidState(
                f"flow {self.flow_id!r} has {len(active)} active jobs, such as {tx.text_of(active[0].key)}; expected "
                "none that run. Cancel the flow, and delete it when they have ended."
            )
        _tell_children(tx, [member for member in members if member.state < COMPLETED])
        return remove(tx, [member.key for member in members])


def _tell_children(tx: Transaction, ended: list[Member]) -> None:
    flows.parents_ended(tx, {member.key: CANCELLED for member in ended if member.on_finish & HAS_CHILDREN})
