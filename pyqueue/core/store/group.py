"""Running the operations of several callers in one transaction, so that each gets his own result or his own error."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pyqueue.core.errors import PyQueueError, StorageError
from pyqueue.core.store.store import Writer
from pyqueue.core.store.ticket import Ticket
from pyqueue.core.store.transaction import Transaction


def run_together(writer: Writer, transaction: Transaction, group: Sequence[Ticket]) -> bool:
    """The quick way, without savepoints; False if an operation failed after it had written something."""
    if len(group) == 1:  # If it fails, all of the transaction has.
        group[0].result = group[0].operation.run(transaction)
        return True
    for key, neighbours in groupby(group, key=_merge_key):
        tickets = list(neighbours)
        before = writer.changes_so_far()
        effects, transaction.effects = transaction.effects, transaction.no_effects()
        try:
            if len(tickets) > 1:
                _note_outcomes(tickets, key.run_together(transaction, [ticket.operation for ticket in tickets]))
            else:
                tickets[0].result = tickets[0].operation.run(transaction)
        except StorageError:
            raise
        except Exception as error:
            if not isinstance(error, PyQueueError) or len(tickets) > 1 or writer.changes_so_far() != before:
                return False
            tickets[0].error = error
        else:
            effects.add(transaction.effects)
        transaction.effects = effects
    return True


def _merge_key(ticket: Ticket) -> Any:
    """Neighbours with the same key are run together: the class of mergeable operations, else the ticket itself."""
    operation: Any = ticket.operation
    return type(operation) if getattr(operation, "merges", False) else ticket


def _note_outcomes(tickets: Sequence[Ticket], outcomes: Sequence[Any]) -> None:
    for ticket, outcome in zip(tickets, outcomes, strict=True):
        if isinstance(outcome, PyQueueError):
            ticket.error = outcome
        else:
            ticket.result = outcome


def run_guarded(_: Writer, transaction: Transaction, group: Sequence[Ticket]) -> bool:
    """The careful way: a savepoint around each operation, so that a failing one is undone alone."""
    for ticket in group:
        ticket.error = None
        effects, transaction.effects = transaction.effects, transaction.no_effects()
        transaction.execute("SAVEPOINT pyqueue_operation")
        try:
            ticket.result = ticket.operation.run(transaction)
        except StorageError:
            raise
        except Exception as error:
            transaction.execute("ROLLBACK TO pyqueue_operation")
            ticket.error = error
        else:
            effects.add(transaction.effects)
        transaction.execute("RELEASE pyqueue_operation")
        transaction.effects = effects
    return True
