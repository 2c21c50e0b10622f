"""What a server needs beside the calls of users: many operations of many clients, answered in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyqueue.core import ids
from pyqueue.core.engine import looking
from pyqueue.core.engine.figures import taken
from pyqueue.core.engine.looking import Places
from pyqueue.core.engine.push import Push
from pyqueue.core.errors import JobNotFound
from pyqueue.core.figures import Figures
from pyqueue.core.handle.producing import Producing
from pyqueue.core.store.operation import Operation


class Serving(Producing):
    """The part of a handle for servers on an event loop."""

    _lease_ms: int

    @property
    def lease_ms(self) -> int:
        """How long a pulled job is its worker's without a heartbeat, where a pull says nothing else."""
        return self._lease_ms

    @property
    def max_flow_depth(self) -> int | None:
        """The longest chain of parents that a job may be pushed under."""
        return self._depth_max

    @property
    def has_push_hooks(self) -> bool:
        """Whether hooks of `wrap_push` want to see each push, so that none may be submitted past them."""
        return bool(self._runtime.push_wraps)

    async def apush_checked(self, push: Push) -> list[str]:
        """Stores jobs that were checked before, within the hooks of `wrap_push`; gives their ids."""
        return await self._astored(push)

    def submit_all(self, operations: Sequence[Operation[Any]], deliver: Callable[[list[Any]], None]) -> None:
        """Runs operations of the engine in their order, each by itself, in as few transactions as may be.

        `deliver` is called once, on the thread of the running loop and perhaps before this returns, with the
        outcome of each: its result, or the exception it was refused with. No task and no future is made.
        """
        self._runtime.write_all(operations, deliver)

    def places_of(self, job_ids: Sequence[str], schedule: str | None = None) -> Places:
        """The queues of these jobs and of this schedule, as far as they exist."""
        return self._runtime.read(lambda tx: looking.places_of(tx, job_ids, schedule))

    async def aplaces_of(self, job_ids: Sequence[str], schedule: str | None = None) -> Places:
        """`places_of` for event loops."""
        return await self._runtime.aread(lambda tx: looking.places_of(tx, job_ids, schedule))

    def figures(self) -> Figures:
        """What is to be watched: counts, totals and ages of all queues, made by whatever process."""
        return self._runtime.read(taken)

    async def afigures(self) -> Figures:
        """`figures` for event loops."""
        return await self._runtime.aread(taken)

    def ids_of(self, keys: Sequence[int]) -> list[str]:
        """The id texts of keys, as `Push` gives them."""
        return ids.to_texts(keys, self._runtime.salt)

    def keys_or_ids(self, job_ids: Sequence[str]) -> Sequence[int | str]:
        """`key_or_id` of many."""
        salt = self._runtime.salt
        try:
            return ids.to_keys(job_ids, salt)
        except JobNotFound:
            return [self.key_or_id(job_id) for job_id in job_ids]

    def key_or_id(self, job_id: str) -> int | str:
        """The key of an id, or the id as it is if it is none of this database.

        Raises:
            ValidationError: it is no id at all.
        """
        try:
            return self._runtime.key_of(job_id)
        except JobNotFound:
            return job_id
