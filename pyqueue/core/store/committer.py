"""The writes of a process: gathers what threads and event loops submit, and commits it together.

A commit that survives power loss waits for the disk, and SQLite has one writer. So writes
that meet share a transaction: a hundred threads that push at the same time pay for one sync.

* A lone caller commits on its own thread: no hop, no wait. PostgreSQL has more than one writer for such.
* Callers that find the writers busy leave a ticket. The first of them leads: when a writer is free it
  commits the tickets of all as one group, then the first of those who came meanwhile leads.
* Event loops hand over once per tick all that their tasks have submitted; they never wait
  for the disk, for a lock, or for a thread pool that other code could fill. Where none but they wait, a
  commit thread leads. It is started when first needed and ends when idle.

Everyone gets the result of his own operation or its own error. An operation that is refused
before it wrote anything is simply left out; if one fails later, the group is repeated with a
savepoint around each, so that only the guilty one is undone.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyqueue.core.errors import QueueClosed, StorageBusy
from pyqueue.core.store.execution import Execution
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.store import Store
from pyqueue.core.store.ticket import Batch, Ticket, of_this_thread, wake_in_turn
from pyqueue.core.store.transaction import Effects

if TYPE_CHECKING:
    import asyncio  # At run time where an event loop is at work, and so has imported it: it takes 30 ms.

log = logging.getLogger(__name__)

R = TypeVar("R")

# A group holds the write lock: 500 pushes are about 3 ms. More would keep other processes waiting.
GROUP_MAX: Final = 500
# Tickets that may wait. Threads wait for their own ticket anyway; event loops wait for room.
PENDING_MAX: Final = 10_000
_IDLE_SECONDS: Final = 2.0


class Committer:
    """Runs operations in write transactions of a store; `after_commit` is told what each group has changed."""

    def __init__(self, store: Store, after_commit: Callable[[Effects], None]) -> None:
        self._store = store
        self._execution = Execution(store, after_commit)
        self._is_closed = False
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: in a child nobody waits any more, and the commit thread is gone."""
        self._pending: deque[Ticket] = deque()
        self._gathering: dict[asyncio.AbstractEventLoop, list[Ticket]] = {}
        self._waiting_for_room: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._mutex = threading.Lock()
        # Somebody was appointed to commit what is pending: set before a ticket waits, until none does.
        self._is_led = False
        self._is_flushing = False  # Who was appointed has committed: others could write meanwhile.
        self._unled = threading.Condition(self._mutex)
        self._work = threading.Event()
        self._thread: threading.Thread | None = None

    # --- submitting -----------------------------------------------------------------------------

    def submit(self, operation: Operation[R]) -> R:
        """Runs the operation in a transaction of its own or of a group; returns when it is committed."""
        self._require_open()
        # Whoever waits already goes first: a stream of lone callers must not overtake the group.
        if not self._is_busy or self._may_overtake(operation):
            writer = self._store.take_writer(waits=False)
            if writer is not None:
                try:
                    self._require_open()  # Again: `close` may have passed before the writer was ours.
                    result = self._execution.run_alone(writer, operation)
                finally:
                    self._store.give_back(writer)
                if operation.durable:
                    self._flush()
                return result
        ticket = of_this_thread(operation)
        self._enqueue([ticket])
        try:
            while not ticket.is_settled:
                ticket.wait()
                if ticket.leads:
                    self._lead(ticket)
        except BaseException:
            self._withdraw(ticket)
            raise
        return ticket.outcome()  # type: ignore[no-any-return]  # the result of Operation[R]

    async def asubmit(self, operation: Operation[R]) -> R:
        """`submit` for a task. If the task is cancelled, the operation may or may not be committed.

        A committed operation that has an `undo` is undone then: nobody has got its result.
        """
        from asyncio import CancelledError, get_running_loop

        self._require_open()
        loop = get_running_loop()
        while len(self._pending) >= PENDING_MAX:
            await self._room(loop)
        ticket = Ticket(operation)
        ticket.loop, ticket.future = loop, loop.create_future()
        gathered = self._gathering.get(loop)
        if gathered is None:
            self._gathering[loop] = [ticket]
            loop.call_soon(self._hand_over, loop)
        else:
            gathered.append(ticket)
        try:
            await ticket.future
        except CancelledError:
            if not ticket.future.cancelled():  # Cancelled when the result was there already.
                self._undo(ticket)
            raise
        return ticket.outcome()  # type: ignore[no-any-return]  # the result of Operation[R]

    def submit_all(self, operations: Sequence[Operation[Any]], deliver: Callable[[list[Any]], None]) -> None:
        """Runs operations in their order, for code on an event loop that has no task for each of them.

        `deliver` is called once, on the thread of the loop, with the outcome of each: its result, or the
        exception it was refused with. That may be before this returns: if the database is near and nobody else
        writes to it, neither here nor in another process, the group is committed on the spot.
        """
        from asyncio import get_running_loop

        self._require_open()
        tickets = list(map(Ticket, operations))
        batch = Batch(tickets, deliver)
        if not tickets or self._commit_now(tickets):
            batch.missing = 1
            batch.note_one()
            return
        loop = get_running_loop()
        for ticket in tickets:
            ticket.batch, ticket.loop = batch, loop
        self._enqueue(tickets)

    def _commit_now(self, group: Sequence[Ticket]) -> bool:
        """Commits the group on this thread if that needs no waiting for another writer; False if it would."""
        if self._is_busy or not self._store.is_near:
            return False
        writer = self._store.take_writer(waits=False)
        if writer is None:
            return False
        try:
            self._require_open()
            self._execution.run_group(writer, group, waits=False)
        except StorageBusy:
            return False
        finally:
            self._store.give_back(writer)
        self._execution.settle(group)
        return True

    def close(self) -> None:
        """Commits what was submitted before; what comes later is refused."""
        self._is_closed = True
        with self._unled:
            self._unled.wait_for(lambda: not self._is_led)
            thread = self._thread
        self._work.set()
        if thread is not None:
            thread.join()

    def _undo(self, ticket: Ticket) -> None:
        undo = getattr(ticket.operation, "undo", None)
        if undo is not None and ticket.error is None:
            self._enqueue(list(map(Ticket, undo(ticket.result))))

    def _resolve(self, tickets: Sequence[Ticket]) -> None:
        """On the event loop: tells the tasks."""
        for ticket in tickets:
            if ticket.batch is not None:
                ticket.batch.note_one()
            elif ticket.future is None or ticket.future.cancelled():
                self._undo(ticket)
            else:
                ticket.future.set_result(None)

    def _require_open(self) -> None:
        if self._is_closed:
            raise QueueClosed("this queue handle was closed; open a new PyQueue on the same path.")

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        self._enqueue(self._gathering.pop(loop, ()))

    def _room(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        future = loop.create_future()
        self._waiting_for_room.append((loop, future))
        return future

    def _enqueue(self, tickets: Sequence[Ticket]) -> None:
        if not tickets:
            return
        try:
            with self._mutex:
                if not self._is_led:
                    self._require_open()  # `close` has passed: to write now would open the file again.
                    self._appoint(tickets[0])
                self._pending.extend(tickets)
        except (QueueClosed, RuntimeError) as error:
            self._refuse(tickets, error)

    @property
    def _is_busy(self) -> bool:
        """Whether anybody waits, or is written for: read in this order, since who leads takes those who wait."""
        return bool(self._pending) or self._is_led

    def _may_overtake(self, operation: Operation[Any]) -> bool:
        """Whether only a flush runs, which this need not wait for."""
        return self._is_flushing and not operation.durable and not self._pending

    def _flush(self) -> None:
        """For a lone caller: leads meanwhile, so that those who come are one group with one flush afterwards."""
        with self._mutex:
            leads = not self._is_led
            self._is_led = True
        try:
            self._is_flushing = True
            self._store.flush()
        finally:
            self._is_flushing = False
            if leads:
                self._pass_on()

    # --- leading ------------------------------------------------------------------------------

    def _appoint(self, first: Ticket) -> None:
        """Under the mutex: the thread that waits first leads, or if it cannot, the commit thread.

        Raises:
            RuntimeError: the machine has no threads left.
        """
        if first.can_lead:
            first.leads = True
            first.wake()
        else:
            if self._thread is None:
                # A daemon: whoever waits for a ticket keeps the interpreter alive; nobody else needs to.
                thread = threading.Thread(target=self._serve, name="pyqueue-commit", daemon=True)
                thread.start()
                self._thread = thread
            self._work.set()
        self._is_led = True

    def _serve(self) -> None:
        """The commit thread."""
        while True:
            self._work.wait(_IDLE_SECONDS)
            with self._mutex:
                if not (self._work.is_set() and self._is_led):  # Idle, or closed.
                    self._thread = None
                    return
                self._work.clear()
            self._lead()

    def _lead(self, own: Ticket | None = None) -> None:
        """Commits a group, lets another lead, and wakes those who waited for it; `own` is that of this thread."""
        if own is not None:
            own.leads = False
        group: list[Ticket] = []
        try:
            writer = self._store.take_writer(waits=True)
            assert writer is not None
            try:
                group = self._take_group()
                self._execution.run_group(writer, group, join_late=partial(self._join_late, group))
            finally:
                self._store.give_back(writer)
            # Before another leads: a few large groups are faster than many small ones, each with a flush of its own.
            self._is_flushing = True
            self._execution.settle(group)
        finally:
            self._is_flushing = False
            others = [ticket for ticket in group if ticket is not own]
            settled = [ticket for ticket in others if ticket.is_settled]
            self._tell_loops(settled)
            # Before the threads are woken: the next group is written meanwhile.
            self._pass_on([ticket for ticket in others if not ticket.is_settled])
            wake_in_turn(settled)

    def _take_group(self) -> list[Ticket]:
        with self._mutex:
            group = [self._pending.popleft() for _ in range(min(len(self._pending), GROUP_MAX))]
        return [ticket for ticket in group if not ticket.is_abandoned]

    def _join_late(self, group: list[Ticket], is_durable: bool) -> None:
        """Adds those who came while the group waited for other processes, up to one who needs more than it gives."""
        with self._mutex:
            while self._pending and len(group) < GROUP_MAX and (is_durable or not self._pending[0].operation.durable):
                ticket = self._pending.popleft()
                if not ticket.is_abandoned:
                    group.append(ticket)

    def _pass_on(self, unsettled: Sequence[Ticket] = ()) -> None:
        """Leads no more; those whose group could not be run to its end are first again."""
        try:
            with self._mutex:
                self._pending.extendleft(reversed(unsettled))
                self._is_led = False
                if self._pending:
                    self._appoint(self._pending[0])
                else:
                    self._unled.notify_all()
        except RuntimeError as error:
            with self._mutex:
                refused = [self._pending.popleft() for _ in range(len(self._pending))]
                self._unled.notify_all()
            self._refuse(refused, error)

    def _withdraw(self, ticket: Ticket) -> None:
        """The thread that waited was interrupted: what was not begun is not done, and another leads in its place."""
        with self._mutex:
            if ticket in self._pending:
                self._pending.remove(ticket)
        if ticket.leads:
            self._pass_on()

    # --- telling --------------------------------------------------------------------------------

    def _refuse(self, tickets: Sequence[Ticket], error: Exception) -> None:
        for ticket in tickets:
            ticket.error, ticket.is_settled = error, True
        self._tell_loops(tickets)
        wake_in_turn(tickets)

    def _tell_loops(self, group: Sequence[Ticket]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Ticket]] = {}
        for ticket in group:
            if ticket.loop is not None:
                by_loop.setdefault(ticket.loop, []).append(ticket)
        for loop, tickets in by_loop.items():
            if not _call(loop, self._resolve, tickets):
                for ticket in tickets:
                    self._undo(ticket)
        if len(self._pending) < PENDING_MAX:
            while self._waiting_for_room:
                loop, future = self._waiting_for_room.popleft()
                _call(loop, _wake, future)


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[Any], None], argument: Any) -> bool:
    """Calls on the thread of the loop; False if the loop was closed meanwhile."""
    try:
        loop.call_soon_threadsafe(callback, argument)
    except RuntimeError:
        log.debug("an event loop was closed before its writes were committed; they are committed")
        return False
    return True


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
