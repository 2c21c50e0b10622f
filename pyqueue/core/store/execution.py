"""Running operations to the end of their transaction: one alone, or those of a group together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyqueue.core.errors import StorageBusy, StorageError
from pyqueue.core.store.group import run_guarded, run_together
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.store import Store, Writer
from pyqueue.core.store.ticket import Ticket
from pyqueue.core.store.transaction import Effects, Transaction

log = logging.getLogger(__name__)

R = TypeVar("R")


class Execution:
    """Begins, commits, and begins again where that may help; `after_commit` is told what each transaction changed."""

    def __init__(self, store: Store, after_commit: Callable[[Effects], None]) -> None:
        self._store = store
        self._after_commit = after_commit

    def run_alone(self, writer: Writer, operation: Operation[R]) -> R:
        """One operation in a transaction of its own; a durable one is to be followed by the store's `flush`."""
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

    def run_group(
        self,
        writer: Writer,
        group: Sequence[Ticket],
        *,
        waits: bool = True,
        join_late: Callable[[bool], None] = lambda is_durable: None,
    ) -> None:
        """Runs the group in one transaction; leaves a result or an error on each ticket, for `settle` to make final.

        `join_late` is called when the transaction has begun, with whether it survives a power failure, and may add to
        the group: to get the write lock can take as long as several commits of other processes.

        What is sent into this thread to end it (as some runners of jobs do for their time limits) is raised; the
        tickets are settled then if the group was committed, or that cannot be told.

        Raises:
            StorageBusy: another process writes, and the caller does not wait. Nothing was done.
        """
        try:
            effects = self._attempt(writer, group, run_together, join_late, waits=waits)
            if effects is None:
                effects = self._attempt(writer, group, run_guarded, join_late)
        except Exception as error:
            if not waits and isinstance(error, StorageBusy):
                raise
            error = self._store.translated(error)
            for ticket in group:
                ticket.error = error
            return
        self._translate(group)
        if effects is not None:
            self._follow_up(effects)

    def settle(self, group: Sequence[Ticket]) -> None:
        """Makes the outcomes of the group final: to be called when others can write, since it waits for the disk."""
        try:
            if any(ticket.operation.durable and ticket.error is None for ticket in group):
                self._store.flush()
        except BaseException as error:
            for ticket in group:
                if ticket.operation.durable and ticket.error is None:
                    ticket.error = error if isinstance(error, Exception) else _interrupted(error)
            if not isinstance(error, Exception):
                raise
        finally:
            for ticket in group:
                ticket.is_settled = True

    def _attempt(
        self,
        writer: Writer,
        group: Sequence[Ticket],
        run: Callable[[Writer, Transaction, Sequence[Ticket]], bool],
        join_late: Callable[[bool], None],
        *,
        waits: bool = True,
    ) -> Effects | None:
        """One transaction over the group; None if it must be repeated with savepoints."""
        attempt = 1
        while True:
            transaction: Transaction | None = None
            try:
                is_durable = any(ticket.operation.durable for ticket in group)
                transaction = writer.begin(durable=is_durable, waits=waits)
                join_late(is_durable)
                if not run(writer, transaction, group):
                    writer.rollback()
                    return None
                writer.commit(transaction)
                return transaction.effects
            except Exception as error:
                writer.rollback()
                if not self._store.may_repeat(error, attempt):
                    raise
                attempt += 1
            except BaseException as error:
                if transaction is not None:
                    self._settle_interrupted(writer, transaction, group, error)
                writer.rollback()
                raise

    def _translate(self, group: Sequence[Ticket]) -> None:
        """Not before the end of the transaction: it may drop the connection."""
        for ticket in group:
            if isinstance(ticket.error, Exception):
                ticket.error = self._store.translated(ticket.error)

    def _settle_interrupted(
        self, writer: Writer, transaction: Transaction, group: Sequence[Ticket], error: BaseException
    ) -> None:
        """The thread is to end while it runs a group. The others' operations must be neither lost nor run twice."""
        has_committed = writer.has_committed()
        if has_committed:
            self._translate(group)
            self._follow_up(transaction.effects)
            self.settle(group)
        elif has_committed is None:
            for ticket in group:
                ticket.error, ticket.is_settled = _interrupted(error), True

    def _follow_up(self, effects: Effects) -> None:
        try:
            self._after_commit(effects)
        except Exception:  # It is committed, and must not be reported as failed.
            log.exception("what was committed could not be told to those who wait for it")


def _interrupted(error: BaseException) -> StorageError:
    return StorageError(
        f"the thread that wrote for several was interrupted at the commit ({type(error).__name__}); what "
        "it wrote may have been kept or not. Look for the job before you repeat the call."
    )
