"""Operations inside a transaction that belongs to the caller: under a savepoint, for him to commit or roll back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyqueue.core.errors import ConfigError
from pyqueue.core.store import effects, migrations
from pyqueue.core.store.doors import cause_of, was_kept
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.postgres.doors import door_of
from pyqueue.core.store.postgres.errors import Unexpected, is_collision
from pyqueue.core.store.postgres.transaction import PostgresTransaction
from pyqueue.core.store.transaction import Effects

if TYPE_CHECKING:
    from pyqueue.core.store.postgres.store import PostgresStore

R = TypeVar("R")

_TRIES: Final = 3
_HAS_NO_TABLES: Final = "pyqueue_meta"


class JoinedPostgres:
    """The caller's transaction, as a place to run operations in."""

    def __init__(self, store: PostgresStore, connection: Any) -> None:
        self._store = store
        self._db, self._after_commit = door_of(connection, store.location.schema)
        self._salt = store.salt  # Makes the tables, on a connection of ours.
        self._require_same_database()

    def run(self, operation: Operation[R], announce: Callable[[Effects], None]) -> R:
        """Runs the operation; `announce` follows the caller's commit, where the connection can tell of it."""
        try:
            result, effects_of_it = self._run_in_transaction(operation)
        except Exception as error:
            raise self._store.translated(cause_of(error)) from error
        if self._after_commit is not None and effects_of_it.changes:
            self._after_commit(lambda: announce(effects_of_it) if was_kept(self._store, effects_of_it) else None)
        return result

    def salt(self) -> int:
        """The salt of the ids."""
        return self._salt

    def _run_in_transaction(self, operation: Operation[R]) -> tuple[R, Effects]:
        """Where the caller has begun none, and his driver does not, in one of its own."""
        if not self._db.is_alone:
            return self._run_guarded(operation)
        self._db.execute_sql("BEGIN")
        try:
            outcome = self._run_guarded(operation)
        except BaseException:
            self._db.execute_sql("ROLLBACK")
            raise
        self._db.execute_sql("COMMIT")
        return outcome

    def _run_guarded(self, operation: Operation[R]) -> tuple[R, Effects]:
        if getattr(operation, "never_clashes", False):
            with suppress(Unexpected):
                return self._run_once(operation)
        for attempt in range(1, _TRIES + 1):
            self._db.execute_sql("SAVEPOINT pyqueue_operation")
            try:
                outcome = self._run_once(operation)
            except BaseException as error:
                self._db.execute_sql("ROLLBACK TO pyqueue_operation")
                self._db.execute_sql("RELEASE pyqueue_operation")
                # A unique key that another has taken meanwhile: this time it is seen, and refused by its name.
                if isinstance(error, Exception) and is_collision(cause_of(error)) and attempt < _TRIES:
                    continue
                raise
            self._db.execute_sql("RELEASE pyqueue_operation")
            return outcome
        raise AssertionError

    def _run_once(self, operation: Operation[R]) -> tuple[R, Effects]:
        store = self._store
        transaction = PostgresTransaction(
            self._db, now_us=store.clock.now_us(), salt=self._salt, ahead=store.ahead, channel=store.channel
        )
        result = operation.run(transaction)
        effects.write(transaction, logs_events=store.logs_events)
        transaction.tell()  # Heard when the caller commits; he may roll back, and nobody hears of it.
        return result, transaction.effects

    def _require_same_database(self) -> None:
        """By the salt, which no two databases share. Leaves the caller's transaction as it was."""
        try:
            theirs = self._db.execute_sql(migrations.SALT).fetchone()
        except Exception as error:
            raise ConfigError(self._other_database()) from error
        if theirs is None or int(theirs[0]) != self._salt:
            raise ConfigError(self._other_database())

    def _other_database(self) -> str:
        return (
            f"the connection is not to the database of the queue, {self._store.path}; expected the same one, since "
            "a transaction cannot span two. If the queue's tables are in a schema, add ?schema=… to its URL."
        )
