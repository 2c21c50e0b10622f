"""What the committer keeps of an operation until its outcome is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyqueue.core.store.operation import Operation

if TYPE_CHECKING:
    import asyncio  # At run time where an event loop is at work, and so has imported it: it takes 30 ms.


class Ticket:
    """One submitted operation, and in the end its result or error."""

    __slots__ = (
        "batch", "can_lead", "error", "following", "future", "is_settled", "leads", "loop", "operation", "result",
        "turn",
    )  # fmt: skip

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_settled = False  # The outcome is there, and is final.
        # Of a thread: held until it is settled, or its turn to lead. A bare lock costs a fifth of an Event, and
        # every push of a thread that meets others pays for one.
        self.turn: threading.Lock | None = None
        self.can_lead = False
        self.leads = False
        self.following: Ticket | None = None  # Who is to be woken by the thread of this one.
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None
        self.batch: Batch | None = None

    @property
    def is_abandoned(self) -> bool:
        """Its task was cancelled before the group began: nobody waits for it."""
        return self.future is not None and self.future.cancelled()

    def wait(self) -> None:
        """For threads: until it is settled, or its turn to lead. Then wakes the thread that follows."""
        assert self.turn is not None
        try:
            self.turn.acquire()
        finally:  # Also if this thread is told to end: others wait behind it.
            if self.following is not None:
                self.following.wake()

    def wake(self) -> None:
        """Ends the wait."""
        assert self.turn is not None
        self.turn.release()

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


def of_this_thread(operation: Operation[Any]) -> Ticket:
    """A ticket on which this thread can wait."""
    ticket = Ticket(operation)
    ticket.turn = threading.Lock()
    ticket.turn.acquire()
    # A signal may interrupt the main thread anywhere: it can neither write for others, nor be the one to wake them.
    ticket.can_lead = threading.current_thread() is not threading.main_thread()
    return ticket


def wake_in_turn(tickets: Iterable[Ticket]) -> None:
    """Wakes the threads among those who wait: each is woken by the one before it.

    Woken all at once, each would only go on to wait for the interpreter, which one of them has.
    """
    first = last = None
    for ticket in tickets:
        if ticket.can_lead:
            if last is None:
                first = ticket
            else:
                last.following = ticket
            last = ticket
        elif ticket.turn is not None:
            ticket.wake()
    if first is not None:
        first.wake()


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
