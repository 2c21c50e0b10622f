"""What the committer keeps of an operation until its outcome is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyqueue.core.store.operation import Operation

if TYPE_CHECKING:
    import asyncio  # At run time where an event loop is at work, and so has imported it: it takes 30 ms.


class Ticket:
    """One submitted operation, and in the end its result or error."""

    __slots__ = ("batch", "done", "error", "future", "loop", "operation", "result")

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        self.result: Any = None
        self.error: BaseException | None = None
        # Held until the outcome is there: a bare lock costs a fifth of an Event, and every push of a thread
        # that meets others pays for one.
        self.done: threading.Lock | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None
        self.batch: Batch | None = None

    @property
    def is_abandoned(self) -> bool:
        """Its task was cancelled before the group began: nobody waits for it."""
        return self.future is not None and self.future.cancelled()

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class Batch:
    """Operations submitted together: their outcomes are delivered together, when the last of them is there."""

    __slots__ = ("deliver", "missing", "tickets")

    def __init__(self, tickets: list[Ticket], deliver: Callable[[list[Any]], None]) -> None:
        self.tickets = tickets
        self.deliver = deliver
        self.missing = len(tickets)

    def note_one(self) -> None:
        self.missing -= 1
        if not self.missing:
            self.deliver([ticket.result if ticket.error is None else ticket.error for ticket in self.tickets])
