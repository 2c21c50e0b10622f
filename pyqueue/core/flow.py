"""What can be known of a flow: how far it is, and what the parents of a job gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, overload

import msgspec

from pyqueue.core.errors import ValidationError
from pyqueue.core.job import Job, QueueCounts
from pyqueue.core.states import JobState
from pyqueue.core.validate import shown

T = TypeVar("T")


class FlowStatus(msgspec.Struct, frozen=True):
    """A flow: the jobs that carry its id. `jobs` are the oldest of them, with what each waits for."""

    flow_id: str
    counts: QueueCounts
    jobs: list[Job]

    @property
    def total(self) -> int:
        return self.counts.total

    @property
    def ended(self) -> int:
        """How many will not run any more by themselves, however they ended."""
        return self.counts.completed + self.counts.dlq + self.counts.cancelled

    @property
    def progress(self) -> int:
        """Percent of its jobs that have ended; 0 of none."""
        return 100 * self.ended // self.total if self.total else 0

    @property
    def is_finished(self) -> bool:
        """Whether all of its jobs have ended. They may be retried."""
        return self.ended == self.total > 0


class ParentResult(msgspec.Struct, frozen=True):
    """A parent of a job, and what it gave.

    `ref`: how the push that stored both named it. `name` and `state` are None when its row was removed; its
    result is there all the same, as it is when a child asks that has not ended.
    """

    id: str
    ref: str | None
    name: str | None
    state: JobState | None
    result_json: str | None

    @property
    def result(self) -> Any:
        return None if self.result_json is None else msgspec.json.decode(self.result_json)

    def result_as(self, kind: type[T]) -> T:
        """The result as a value of a type, as a task of that return type gave it. Raises ValidationError: it is not."""
        try:
            return msgspec.json.decode(self.result_json or "null", type=kind)
        except msgspec.ValidationError as error:
            raise ValidationError(f"the result of parent {self.ref or self.id} is no {kind} ({error}).") from error


class ParentResults(Sequence[ParentResult]):
    """The parents of a job in the order in which they were pushed; found by place, ref, id, or a name that one has."""

    def __init__(self, parents: Sequence[ParentResult]) -> None:
        self._parents = tuple(parents)

    @overload
    def __getitem__(self, which: int | str) -> ParentResult: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[ParentResult, ...]: ...

    def __getitem__(self, which: int | str | slice) -> ParentResult | tuple[ParentResult, ...]:
        if not isinstance(which, str):
            return self._parents[which]
        for key in ("ref", "id", "name"):
            found = [parent for parent in self._parents if getattr(parent, key) == which]
            if len(found) == 1:
                return found[0]
        known = ", ".join(parent.ref or parent.name or parent.id for parent in self._parents[:10])
        raise ValidationError(f"{shown(which)} names no parent, or several; expected one of: {known or 'none'}.")

    def __len__(self) -> int:
        return len(self._parents)

    def __iter__(self) -> Iterator[ParentResult]:
        return iter(self._parents)

    @property
    def results(self) -> list[Any]:
        """What each of them gave, in order."""
        return [parent.result for parent in self._parents]
