"""What the engine needs of a database, whichever it is: `store.sqlite` and `store.postgres` give it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

from pyqueue.core.clock import Clock
from pyqueue.core.store.operation import Operation
from pyqueue.core.store.transaction import Effects, Transaction

Durability = Literal["power", "process"]
R = TypeVar("R")


class Writer(Protocol):
    """A connection that writes, in the hands of one caller."""

    def begin(self, *, durable: bool, waits: bool = True) -> Transaction:
        """Opens a write transaction. Only `durable` ones need survive a power failure; `Store.flush` follows those.

        Raises:
            StorageBusy: another process writes; at once, unless this `waits`.
        """

    def commit(self, transaction: Transaction, /) -> None:
        """Writes what the transaction noted, and commits it."""

    def rollback(self) -> None:
        """Undoes the open transaction, if there is one."""

    def has_committed(self) -> bool | None:
        """For a thread that was interrupted in a transaction: whether it was committed; None if that is not known."""

    def changes_so_far(self) -> int:
        """A number that grows with whatever is written."""


class Bell(Protocol):
    """How a process that waits is woken by others: by a number that it leaves in the database."""

    @property
    def port(self) -> int | None:
        """The number at which this process listens, if it does."""

    def listen(self) -> int | None:
        """Begins to listen; None where that cannot be."""

    def wait(self, seconds: float) -> bool:
        """Whether somebody rang within the time."""

    def ring(self, ports: list[int], /) -> None:
        """Wakes the processes that listen there; never waits for them."""

    def close(self) -> None:
        """Listens no more."""


class Joined(Protocol):
    """A transaction of the caller's, as a place to run operations in."""

    def run(self, operation: Operation[R], announce: Callable[[Effects], None], /) -> R:
        """Runs the operation; `announce` follows the caller's commit, where the connection can tell of it."""

    def salt(self) -> int:
        """The salt of the ids, as this transaction sees it."""


class Store(Protocol):
    """The connections to one database. Nothing is opened before the first use."""

    logs_events: bool

    @property
    def is_near(self) -> bool:
        """A transaction takes well below a millisecond beside its flush, so an event loop may run it by itself."""

    @property
    def clock(self) -> Clock:
        """The time that its jobs are measured by."""

    @property
    def path(self) -> str:
        """Where it is, for messages: without any password."""

    @property
    def salt(self) -> int:
        """The salt of the ids; opens the database if it is not open."""

    def take_writer(self, *, waits: bool) -> Writer | None:
        """A writer for the caller alone; None if there is none and he does not wait."""

    def give_back(self, writer: Writer, /) -> None:
        """Lets the next one have it."""

    def flush(self) -> None:
        """Returns when all durable transactions that were committed before the call survive a power failure.

        Raises:
            StorageError: the disk did not take them.
        """

    def exists(self) -> bool:
        """Whether there is a queue; makes nothing."""

    def read(self, query: Callable[[Transaction], R], /) -> R:
        """Runs a query beside any writer."""

    def snapshot(self, query: Callable[[Transaction], R], /) -> R:
        """`read`, with all statements on one snapshot of the data, however long it takes."""

    def migration_sql(self) -> list[str]:
        """The statements that would take the database to the newest version; makes nothing."""

    def data_version(self) -> int:
        """A number that changes whenever another process has committed. For one thread only."""

    def new_bell(self) -> Bell:
        """How this process wakes others, and is woken."""

    def join(self, connection: Any, /) -> Joined:
        """The transaction that the caller has open on a connection to the same database.

        Raises:
            ConfigError: another kind of connection, or one to another database.
        """

    def translated(self, error: Exception, /) -> Exception:
        """The error of ours that tells what a database error means; others are handed back."""

    def may_repeat(self, error: BaseException, attempt: int, /) -> bool:
        """Whether a transaction that failed with this, for the n-th time, left no trace and is worth another try."""

    def tidy(self) -> None:
        """Housekeeping of the store itself; to be called from time to time."""

    def close(self) -> None:
        """Waits for what runs, closes everything, and opens nothing any more."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork(self) -> None: ...
