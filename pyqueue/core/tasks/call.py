"""A call of a task that is not pushed yet: what flows and batches are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Final, Generic, TypeVar

from pyqueue.core.errors import ValidationError
from pyqueue.core.job import JobOptions
from pyqueue.core.tasks.signature import Signature
from pyqueue.core.validate import shown

R_co = TypeVar("R_co", covariant=True)


class Promise:
    """Stands for the result of a job that has not run, in the arguments of a job that waits for it."""

    def __init__(self, job: object | None = None) -> None:
        self.job = job

    def __repr__(self) -> str:
        return "PREVIOUS" if self.job is None else f"<the result of {self.job!r}>"


# In the arguments of a step of a chain: the result of the step before, or the list of those of a group.
PREVIOUS: Final[Any] = Promise()


class Arguments:
    """The arguments of a call by name, parted into values and promises."""

    def __init__(self, given: Mapping[str, Any], what: str) -> None:
        self.values: dict[str, Any] = {}
        self.single: dict[str, Promise] = {}
        self.lists: dict[str, list[Promise]] = {}
        for name, value in given.items():
            if isinstance(value, Promise):
                self.single[name] = value
            elif isinstance(value, list | tuple) and any(isinstance(item, Promise) for item in value):
                if not all(isinstance(item, Promise) for item in value):
                    raise ValidationError(
                        f"{what}: argument {name!r} is {shown(value)}; expected a list of results of other jobs and "
                        "of nothing else."
                    )
                self.lists[name] = list(value)
            else:
                self.values[name] = value

    def behind(self, before: Sequence[object] | object | None) -> Arguments:
        """The same with PREVIOUS standing for a job, or for the list of several."""
        placed = copy(self)
        placed.single, placed.lists = dict(self.single), dict(self.lists)
        for name, promise in self.single.items():
            if promise.job is None and isinstance(before, Sequence):
                placed.lists[name] = [Promise(job) for job in before]
                del placed.single[name]
            elif promise.job is None:
                placed.single[name] = Promise(before)
        return placed


class Call(Generic[R_co]):
    """A task with its arguments and options: `task.call(…)`."""

    def __init__(
        self, signature: Signature, given: Mapping[str, Any], *, queue: str, name: str, options: JobOptions, owner: Any
    ) -> None:
        self.queue, self.name, self.options = queue, name, options
        self.owner, self.result_type = owner, signature.result_type
        self.arguments = Arguments(given, f"task {name!r}")
        self.data = signature.checked(self.arguments.values, [*self.arguments.single, *self.arguments.lists])

    def __repr__(self) -> str:
        return f"<call of {self.name!r}>"
