"""Stepping in on all jobs that meet some conditions, a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple

from msgspec import Struct

from pyqueue.core.engine.intervene import Cancel, Delete, Retry
from pyqueue.core.errors import StateError
from pyqueue.core.store import jobs
from pyqueue.core.store.jobs import Filter
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.transaction import Transaction

# Each costs some statements, and all of a chunk hold the write lock.
_CHUNK: Final = 100


class BulkAction(StrEnum):
    """What can be done with many jobs."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"


_OPERATIONS: Final[Mapping[BulkAction, Callable[[str], Operation[Any]]]] = {
    BulkAction.CANCEL: Cancel,
    BulkAction.RETRY: Retry,
    BulkAction.DELETE: Delete,
}


class Done(NamedTuple):
    """How many jobs of a chunk it was done with, and below which key to go on (None: there are no more)."""

    number: int
    before_key: int | None


class Bulk(Struct, frozen=True):
    """Does `action` with a chunk of the jobs that meet the conditions, newest first, below `before_key`.

    Jobs in a state that does not allow it are passed over.
    """

    action: BulkAction
    wanted: Filter
    before_key: int | None = None

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Done:
        keys = jobs.keys_of(tx, self.wanted, _CHUNK, before_key=self.before_key)
        number = sum(self._is_done(tx, key) for key in keys)
        return Done(number, keys[-1] if len(keys) == _CHUNK else None)

    def _is_done(self, tx: Transaction, key: int) -> bool:
        try:
            _OPERATIONS[self.action](tx.text_of(key)).run(tx)
        except StateError:
            return False
        return True
