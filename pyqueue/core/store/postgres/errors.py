"""What the errors of PostgreSQL mean: for whom they are, and whether to try again."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import errors

from pyqueue.core.errors import StorageBusy, StorageError, StorageFull, StorageReadOnly

# Of two transactions that stood in each other's way one was undone as a whole. A unique key taken meanwhile is
# of this kind: the next try sees it, and says so.
_COLLISIONS: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
# A server that ends, starts, or gives way to another one.
_SERVER_GONE: Final = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)
# Statements prepared on a connection that is another one now (a pooler), or before the tables were changed.
_PREPARED_IS_LOST: Final = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
_PLAN_IS_OLD: Final = "cached plan must not change result type"


class Uncommitted(psycopg.OperationalError):
    """The connection broke at the commit, and a look has shown that nothing was kept."""


class Unexpected(errors.SerializationFailure):
    """A queue was paused, or limited, which this process did not know; nothing was written."""


def is_collision(error: BaseException) -> bool:
    """Undone because of another transaction, so that it may simply be run again."""
    return isinstance(error, _COLLISIONS)


def is_lost_connection(error: BaseException) -> bool:
    """The connection, or the server, is not there any more (or not yet)."""
    if isinstance(error, _SERVER_GONE):
        return True
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = getattr(error, "sqlstate", None)
    return state is None or state.startswith("08")


def is_lost_preparation(error: BaseException) -> bool:
    """A prepared statement is not there, or not what it was."""
    return isinstance(error, _PREPARED_IS_LOST) or _PLAN_IS_OLD in str(error)


def meaning_of(error: psycopg.Error, address: str) -> StorageError:
    """The error of ours that says what a database error means and what to do."""
    fact = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, errors.LockNotAvailable | errors.QueryCanceled):
        return StorageBusy(
            f"a row or table at {address} was locked for too long ({fact}). Look for a transaction that is kept "
            "open, and try again."
        )
    if isinstance(error, errors.DiskFull | errors.OutOfMemory):
        return StorageFull(f"{address} has no room ({fact}); nothing was stored. Free some and try again.")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StorageReadOnly(
            f"{address} does not take writes ({fact}); expected the primary server. With several hosts in the URL, "
            "add target_session_attrs=read-write."
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return StorageReadOnly(f"{address} refused ({fact}); grant the role what it needs, or use another.")
    if "unsupported startup parameter" in fact:
        return StorageError(
            f"{address} is a pooler, which takes no settings ({fact}); add ?pooler=transaction to the URL, "
            "or connect to the server itself."
        )
    if is_lost_connection(error):
        return StorageError(f"{address} cannot be reached ({fact}); check that it runs, and the URL.")
    return StorageError(f"{address} failed ({fact}); nothing of the operation was kept.")
