"""Chains and groups: flows in a line, side by side, and both in one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pyqueue.core.errors import ConfigError, ValidationError
from pyqueue.core.flows.builder import Flow, FlowJob, FlowQueue, PushedFlow
from pyqueue.core.tasks.call import Call
from pyqueue.core.validate import shown

# What PREVIOUS stands for: the job before, the jobs of a group before, or nothing at the beginning.
Before = FlowJob[Any] | list[FlowJob[Any]] | None


class Step(Protocol):
    """What a flow can be made of beside single jobs."""

    def add_to(self, flow: Flow, after: Sequence[FlowJob[Any] | str], before: Before) -> list[FlowJob[Any]]:
        """Adds its jobs behind others; gives those that what comes next has to wait for."""
        ...


class _Pushable:
    """Steps that can be pushed as a flow of their own, to the queue of their first task."""

    def __init__(self, steps: Sequence[Call[Any] | Step], what: str) -> None:
        if not steps:
            raise ValidationError(f"{what}() without anything in it; expected at least one task.call(…).")
        for step in steps:
            if not isinstance(step, Call | Chain | Group):
                raise ValidationError(f"{what}() got {shown(step)}; expected task.call(…), chain(…) or group(…).")
        self.steps = tuple(steps)

    def push(self, *, flow_id: str | None = None, on: Any = None) -> PushedFlow:
        """Stores it as a flow, in one transaction; see `Flow.push`."""
        return self._flow(flow_id).push(on=on)

    async def apush(self, *, flow_id: str | None = None) -> PushedFlow:
        """`push` for event loops."""
        return await self._flow(flow_id).apush()

    def add_to(self, flow: Flow, after: Sequence[FlowJob[Any] | str], before: Before) -> list[FlowJob[Any]]:
        raise NotImplementedError

    def _flow(self, flow_id: str | None) -> Flow:
        flow = Flow(self.owner(), flow_id)
        self.add_to(flow, [], None)
        return flow

    def owner(self) -> FlowQueue:
        """The queue of its first task."""
        first = self.steps[0]
        if isinstance(first, _Pushable):
            return first.owner()
        assert isinstance(first, Call)
        owner: FlowQueue | None = first.owner()
        if owner is None:
            raise ConfigError(f"task {first.name!r} belongs to no queue yet; call queue.include(tasks) first.")
        return owner


class Chain(_Pushable):
    """Steps of which each begins when the one before has completed."""

    def __init__(self, *steps: Call[Any] | Step) -> None:
        super().__init__(steps, "chain")

    def add_to(self, flow: Flow, after: Sequence[FlowJob[Any] | str], before: Before) -> list[FlowJob[Any]]:
        """See `Step`."""
        last: Sequence[FlowJob[Any] | str] = after
        ends: list[FlowJob[Any]] = []
        for step in self.steps:
            ends = _add(flow, step, last, before)
            last, before = ends, (ends if isinstance(step, Group) or len(ends) > 1 else ends[0])
        return ends


class Group(_Pushable):
    """Steps that run side by side."""

    def __init__(self, *steps: Call[Any] | Step) -> None:
        super().__init__(steps, "group")

    def add_to(self, flow: Flow, after: Sequence[FlowJob[Any] | str], before: Before) -> list[FlowJob[Any]]:
        """See `Step`."""
        return [end for step in self.steps for end in _add(flow, step, after, before)]


def chain(*steps: Call[Any] | Step) -> Chain:
    """Steps one after the other. `PREVIOUS` in the arguments of a call is the result of the step before it."""
    return Chain(*steps)


def group(*steps: Call[Any] | Step) -> Group:
    """Steps side by side. Behind a group in a chain, `PREVIOUS` is the list of their results."""
    return Group(*steps)


def chord(steps: Group, callback: Call[Any]) -> Chain:
    """A group, and a call when all of it has completed: `chain(group(…), callback)`."""
    return Chain(steps, callback)


def _add(flow: Flow, step: Call[Any] | Step, after: Sequence[FlowJob[Any] | str], before: Before) -> list[FlowJob[Any]]:
    if not isinstance(step, Call):
        return step.add_to(flow, after, before)
    return [flow.add_call(step, step.arguments.behind(before), after=after)]
