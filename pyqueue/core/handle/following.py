"""Reading what happened, in this process and all others."""

from __future__ import annotations

from collections.abc import Callable

from pyqueue.core import ids, limits
from pyqueue.core.engine.processes import Happened, happened
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle import waiting
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import EventPage, JobChange
from pyqueue.core.states import STATES
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.validate import integer


class Following:
    """The part of a handle that reads the event log: every transition, by whichever process, in order."""

    _runtime: Runtime

    def events(self, after: int | None = None, *, limit: int = 1_000, wait_ms: int = 0) -> EventPage:
        """What was committed after a position, oldest first; with None only where the log ends now.

        A page holds at least one commit if there is one, and about `limit` changes (1–1,000 rows of
        the log; a batch is one row). Begin with `events()`, look at the jobs, then follow from its position.
        With nothing behind `after`, waits up to `wait_ms` for something.
        The log keeps the newest 100,000 rows of a day; `has_gap` tells when you have fallen behind.

        Raises:
            ValidationError: the log is switched off (`logs_events=False`).
        """
        query, wait_ms = self._query(after, limit), _wait_of(after, wait_ms)
        return waiting.events(self._runtime, query, wait_ms) if wait_ms else self._runtime.read(query)

    async def aevents(self, after: int | None = None, *, limit: int = 1_000, wait_ms: int = 0) -> EventPage:
        """`events` for event loops."""
        query, wait_ms = self._query(after, limit), _wait_of(after, wait_ms)
        return await (waiting.aevents(self._runtime, query, wait_ms) if wait_ms else self._runtime.aread(query))

    def _query(self, after: int | None, limit: int) -> Callable[[Transaction], EventPage]:
        if not self._runtime.store.logs_events:
            raise ValidationError("events() of a handle with logs_events=False; expected one that writes them down.")
        integer(limit, "limit", 1, limits.LIST_LIMIT_MAX)
        if after is not None:
            integer(after, "after", 0, 2**63 - 1)
        return lambda tx: _page(happened(tx, after, limit), tx.salt)


def _wait_of(after: int | None, wait_ms: int) -> int:
    """How long to wait: not at all for one who only asks where the log ends."""
    integer(wait_ms, "wait_ms", 0, limits.WAIT_MS_MAX)
    return 0 if after is None else wait_ms


def _page(found: Happened, salt: int) -> EventPage:
    changes = [
        JobChange(
            event=change.event,
            job_id=ids.to_text(key, salt),
            queue=change.queue,
            state=None if change.state is None else STATES[change.state],
            at_us=at_us,
            error=change.error,
            worker_id=change.worker_id,
            position=position,
        )
        for position, at_us, change in found.changes
        for key in change.keys
    ]
    return EventPage(changes, found.position, found.has_gap)
