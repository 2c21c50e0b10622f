"""The writes of a process: gathers what threads and event loops submit, and commits it together.

A commit that survives power loss waits for the disk, and SQLite has one writer. So writes
that meet share a transaction: a hundred threads that push at the same time pay for one sync.

* A lone caller commits on its own thread: no hop, no wait. PostgreSQL has more than one writer for such.
* Callers that find the writers busy leave a ticket. The commit thread takes all tickets there
  are and commits them as one group. It is started when first needed and ends when idle.
* Event loops hand over once per tick all that their tasks have submitted; they never wait
  for the disk, for a lock, or for a thread pool that other code could fill.

Everyone gets the result of his own operation or its own error. An operation that is refused
before it wrote anything is simply left out; if one fails later, the group is repeated with a
savepoint around each, so that only the guilty one is undone.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyqueue.core.errors import QueueClosed, StorageBusy
from pyqueue.core.store.group import run_guarded, run_together
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.store import Store, Writer
from pyqueue.core.store.ticket import Batch, Ticket
from pyqueue.core.store.transaction import Effects, Transaction

if TYPE_CHECKING:
    import asyncio  # At run time where an event loop is at work, and so has imported it: it takes 30 ms.

log = logging.getLogger(__name__)

R = TypeVar("R")

# A group holds the write lock: 500 pushes are about 3 ms. More would keep other processes waiting.
GROUP_MAX: Final = 500
# Tickets that may wait. Threads wait for their own ticket anyway; event loops wait for room.
PENDING_MAX: Final = 10_000
_IDLE_SECONDS: Final = 2.0
# How long after a group the next callers are still taken for a crowd.
_LINGER_SECONDS: Final = 0.002


class Committer:
    """Runs operations in write transactions of a store; `after_commit` is told what each group has changed."""

    def __init__(self, store: Store, after_commit: Callable[[Effects], None]) -> None:
        self._store = store
        self._after_commit = after_commit
        self._is_closed = False
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: in a child nobody waits any more, and the commit thread is gone."""
        self._pending: deque[Ticket] = deque()
        self._gathering: dict[asyncio.AbstractEventLoop, list[Ticket]] = {}
        self._waiting_for_room: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._mutex = threading.Lock()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_gathering = False

    # --- submitting -----------------------------------------------------------------------------

    def submit(self, operation: Operation[R]) -> R:
        """Runs the operation in a transaction of its own or of a group; returns when it is committed."""
        self._require_open()
        # Whoever waits already goes first: a stream of lone callers must not overtake the group. And while callers
        # meet, none of them commits alone, or every other group would be one of one.
        if not self._pending and not self._is_gathering:
            writer = self._store.take_writer(waits=False)
            if writer is not None:
                try:
                    self._require_open()  # Again: `close` may have passed before the writer was ours.
                    return self._run_alone(writer, operation)
                finally:
                    self._store.give_back(writer)
        ticket = Ticket(operation)
        ticket.done = threading.Lock()
        ticket.done.acquire()
        self._enqueue([ticket])
        ticket.done.acquire()
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

    def close(self) -> None:
        """Commits what was submitted before; what comes later is refused."""
        self._is_closed = True
        thread = self._thread
        self._work.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _undo(self, ticket: Ticket) -> None:
        undo = getattr(ticket.operation, "undo", None)
        if undo is not None and ticket.error is None:
            self._enqueue(map(Ticket, undo(ticket.result)))

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

    def _enqueue(self, tickets: Iterable[Ticket]) -> None:
        tickets = list(tickets)
        try:
            with self._mutex:
                if self._thread is None:
                    self._require_open()  # `close` has passed: a new thread would open the file again.
                    # A daemon: whoever waits for a ticket keeps the interpreter alive; nobody else needs to.
                    thread = threading.Thread(target=self._serve, name="pyqueue-commit", daemon=True)
                    thread.start()  # Raises if the machine has no threads left; the next ticket tries again.
                    self._thread = thread
                self._pending.extend(tickets)
        except (QueueClosed, RuntimeError) as error:
            for ticket in tickets:
                ticket.error = error
            self._deliver(tickets)
            return
        if not self._work.is_set():
            self._work.set()

    # --- the commit thread --------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            patience = _LINGER_SECONDS if self._is_gathering else _IDLE_SECONDS
            has_work = self._is_closed or self._work.wait(patience)
            if not has_work and self._is_gathering:
                self._is_gathering = False
                continue
            if not has_work or self._is_closed:
                with self._mutex:
                    if not self._pending:
                        self._thread, self._is_gathering = None, False
                        return
            self._work.clear()
            while self._pending:
                writer = self._store.take_writer(waits=True)
                assert writer is not None
                try:
                    self._serve_group(writer)
                finally:
                    self._store.give_back(writer)

    def _serve_group(self, writer: Writer) -> None:
        group = self._take_group()
        # A group of one is no crowd: its caller may commit by himself again.
        self._is_gathering = len(group) > 1
        try:
            self._commit(writer, group)
        finally:
            self._deliver(group)

    def _take_group(self) -> list[Ticket]:
        with self._mutex:
            group = [self._pending.popleft() for _ in range(min(len(self._pending), GROUP_MAX))]
        return [ticket for ticket in group if not ticket.is_abandoned]

    def _deliver(self, group: Sequence[Ticket]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Ticket]] = {}
        for ticket in group:
            if ticket.done is not None:
                ticket.done.release()
            elif ticket.loop is not None:
                by_loop.setdefault(ticket.loop, []).append(ticket)
        for loop, tickets in by_loop.items():
            if not _call(loop, self._resolve, tickets):
                for ticket in tickets:
                    self._undo(ticket)
        if len(self._pending) < PENDING_MAX:
            while self._waiting_for_room:
                loop, future = self._waiting_for_room.popleft()
                _call(loop, _wake, future)

    # --- committing -------------------------------------------------------------------------------

    def _run_alone(self, writer: Writer, operation: Operation[R]) -> R:
        """One operation in a transaction of its own."""
        attempt = 1
        while True:
            try:
                transaction = writer.begin(durable=operation.durable)
                result = operation.run(transaction)
                writer.commit(transaction)
                break
            except Exception as error:
                writer.rollback()
                if self._store.may_repeat(error, attempt):
                    attempt += 1
                    continue
                translated = self._store.translated(error)
                if translated is error:
                    raise
                raise translated from error
            except BaseException:
                writer.rollback()
                raise
        self._follow_up(transaction.effects)
        return result

    def _commit_now(self, group: Sequence[Ticket]) -> bool:
        """Commits the group on this thread if that needs no waiting for another writer; False if it would."""
        if self._pending or self._is_gathering or not self._store.is_near:
            return False
        writer = self._store.take_writer(waits=False)
        if writer is None:
            return False
        try:
            self._require_open()
            self._commit(writer, group, waits=False)
        except StorageBusy:
            return False
        finally:
            self._store.give_back(writer)
        return True

    def _commit(self, writer: Writer, group: Sequence[Ticket], *, waits: bool = True) -> None:
        """Runs the group in one transaction; leaves a result or an error on each ticket.

        Raises:
            StorageBusy: another process writes, and the caller does not wait. Nothing was done.
        """
        try:
            effects = self._attempt(writer, group, run_together, waits=waits)
            if effects is None:
                effects = self._attempt(writer, group, run_guarded)
        except BaseException as error:
            if not waits and isinstance(error, StorageBusy):
                raise
            for ticket in group:
                ticket.error = self._store.translated(error) if isinstance(error, Exception) else error
            if not isinstance(error, Exception):
                raise
            return
        for ticket in group:
            if isinstance(ticket.error, Exception):  # Not before: it may drop the connection.
                ticket.error = self._store.translated(ticket.error)
        if effects is not None:
            self._follow_up(effects)

    def _follow_up(self, effects: Effects) -> None:
        try:
            self._after_commit(effects)
        except Exception:  # It is committed, and must not be reported as failed.
            log.exception("what was committed could not be told to those who wait for it")

    def _attempt(
        self,
        writer: Writer,
        group: Sequence[Ticket],
        run: Callable[[Writer, Transaction, Sequence[Ticket]], bool],
        *,
        waits: bool = True,
    ) -> Effects | None:
        """One transaction over the group; None if it must be repeated with savepoints."""
        attempt = 1
        while True:
            try:
                transaction = writer.begin(durable=any(ticket.operation.durable for ticket in group), waits=waits)
                if not run(writer, transaction, group):
                    writer.rollback()
                    return None
                writer.commit(transaction)
                return transaction.effects
            except BaseException as error:
                writer.rollback()
                if not self._store.may_repeat(error, attempt):
                    raise
                attempt += 1


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
