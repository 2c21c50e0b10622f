"""Operations inside a transaction that belongs to the caller.

The caller's connection is wrapped into an `Executor`. An operation runs under a savepoint,
so that one that fails leaves the caller's transaction as it was; whether all of it is
kept is the caller's commit or rollback to decide.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pyqueue.core.errors import ConfigError
from pyqueue.core.store import migrations
from pyqueue.core.store.doors import cause_of, executor_of, was_kept
from pyqueue.core.store.effects import write as write_effects
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.transaction import Effects, Transaction

if TYPE_CHECKING:
    from pyqueue.core.store.sqlite import SqliteStore

R = TypeVar("R")

# Writes nothing, but takes the write lock. A transaction that reads first and writes later is
# refused at once when another process has written in between, whatever its busy timeout.
_TAKE_WRITE_LOCK = "UPDATE pyqueue_meta SET value = value WHERE key = ''"
_HAS_NO_TABLES = "no such table: pyqueue_meta"


class JoinedTransaction:
    """The caller's transaction, as a place to run operations in."""

    def __init__(self, store: SqliteStore, connection: Any) -> None:
        self._store = store
        self._db, self._after_commit = executor_of(connection)
        self._require_same_file()

    def run(self, operation: Operation[R], announce: Callable[[Effects], None]) -> R:
        """Runs the operation; `announce` follows the caller's commit, where the connection can tell of it."""
        try:
            self._open()
            try:
                migrations.apply(self._db)
                transaction = Transaction(self._db, now_us=self._store.clock.now_us(), salt=self.salt())
                result = operation.run(transaction)
                write_effects(transaction, logs_events=self._store.logs_events)
            except BaseException:
                self._db.execute_sql("ROLLBACK TO pyqueue_operation")
                self._db.execute_sql("RELEASE pyqueue_operation")
                raise
            self._db.execute_sql("RELEASE pyqueue_operation")
        except Exception as error:
            raise self._store.translated(cause_of(error)) from error
        effects = transaction.effects
        if self._after_commit is not None and effects.changes:
            self._after_commit(lambda: announce(effects) if was_kept(self._store, effects) else None)
        return result

    def salt(self) -> int:
        """The salt of the ids, as this transaction sees it."""
        return migrations.salt_of(self._db)

    def _open(self) -> None:
        """Opens the savepoint, inside a transaction that holds the write lock."""
        has_tables = self._take_write_lock()
        if not has_tables:
            self._db.begin()  # Drivers begin before a first write, but not before a savepoint.
        self._db.execute_sql("SAVEPOINT pyqueue_operation")
        if has_tables:  # Once more: without a transaction of the caller's, the savepoint has begun one.
            self._db.execute_sql(_TAKE_WRITE_LOCK)

    def _take_write_lock(self) -> bool:
        """False if the file is new, so that there is nothing to write to yet."""
        try:
            self._db.execute_sql(_TAKE_WRITE_LOCK)
        except Exception as error:
            if _HAS_NO_TABLES not in str(error):
                raise
            return False
        return True

    def _require_same_file(self) -> None:
        files = {name: path for _, name, path in self._db.execute_sql("PRAGMA database_list").fetchall()}
        theirs = files.get("main") or ""
        ours = self._store.path
        if not theirs or os.path.realpath(theirs) != os.path.realpath(ours):
            raise ConfigError(
                f"the connection is to {repr(theirs) if theirs else 'a database in memory'}, "
                f"the queue to {str(ours)!r}; "
                "expected the same file, since a transaction cannot span two."
            )
