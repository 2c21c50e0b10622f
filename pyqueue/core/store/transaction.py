"""One open transaction, and what must follow from it.

An operation runs its statements through a `Transaction` and notes on it what it did:
changes to log and announce, queues to wake. What must be kept of it is written before
the commit, in the same transaction (`store.effects`); signals and wake-ups are made after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from pyqueue.core import ids
from pyqueue.core.store.executor import Cursor, Executor
from pyqueue.core.store.rows import run_rows
from pyqueue.core.transitions import Event

if TYPE_CHECKING:
    from pyqueue.core.schedule import ScheduleRun


class Change(NamedTuple):
    """What happened to some jobs of one queue: they went from the state `source` to `state`.

    `source` is None when they are new, `state` when they were deleted.
    """

    event: Event
    queue: str
    keys: Sequence[int]
    source: int | None
    state: int | None
    error: str | None = None
    worker_id: str | None = None


class Trip(NamedTuple):
    """The breaker of a queue has opened: so many runs failed in a row, the last with `error`."""

    queue: str
    failures: int
    until_us: int
    error: str


class QueueFlags(NamedTuple):
    """What a push or pull must know of a queue."""

    pushes_paused: bool
    pulls_paused: bool
    round: int
    limits: int  # which kinds there are: bits of `store.limits`


# All that a push or pull must know before it writes, in one statement; `QUEUE_FLAGS` in the order of its fields.
# The highest id ever includes those of deleted jobs, which are not given out again, not even within a millisecond.
QUEUE_FLAGS: Final = """queue.pushes_paused_at IS NOT NULL, queue.pulls_paused_at IS NOT NULL,
           coalesce(queue.round, 0), coalesce(queue.limits, 0)"""
_LOOK: Final = f"""
    SELECT {QUEUE_FLAGS},
           max(coalesce((SELECT max(id) FROM pyqueue_job), 0),
               (SELECT value FROM pyqueue_meta WHERE key = 'last_deleted')),
           (SELECT group_concat(port) FROM pyqueue_listener)
    FROM (SELECT 1) LEFT JOIN pyqueue_queue AS queue ON queue.name = ?
"""

_LOG: Final = """
    INSERT INTO pyqueue_event (happened_at, event, queue, source, state, first_id, jobs, other_ids, worker_id, error)
    VALUES {rows}
"""
_LOG_WIDTH: Final = 10


class Effects:
    """What follows from the operations of a transaction, which happen all at one moment."""

    __slots__ = ("changes", "due_us", "firings", "now_us", "ports", "salt", "trips", "wakes")

    def __init__(self, *, now_us: int, salt: int) -> None:
        self.now_us = now_us
        self.salt = salt
        self.changes: list[Change] = []
        self.trips: list[Trip] = []
        self.firings: list[ScheduleRun] | None = None
        self.wakes: dict[str, int] = {}
        self.due_us: int | None = None
        self.ports: tuple[int, ...] | None = None  # of the processes that wait; None: not looked up

    def add(self, other: Effects) -> None:
        """Takes over the effects of an operation that succeeded."""
        self.changes += other.changes
        self.trips += other.trips
        for queue, number in other.wakes.items():
            self.wakes[queue] = self.wakes.get(queue, 0) + number
        if other.firings is not None:
            self.firings = [*(self.firings or ()), *other.firings]
        if other.ports is not None:
            self.ports = other.ports
        if other.due_us is not None and (self.due_us is None or other.due_us < self.due_us):
            self.due_us = other.due_us


class Transaction:
    """The statements of one write transaction, at one moment in time: on SQLite, or as `store.postgres` extends it."""

    on_postgres: ClassVar[bool] = False
    # Where on PostgreSQL it stands in the event log, and its number: if its commit is cut off, they tell its outcome.
    trace: tuple[int, int] | None = None
    # Its last statement went there with its COMMIT: whether it is committed, only a look tells if the answer is lost.
    is_sent_off = False

    def __init__(self, db: Executor, *, now_us: int, salt: int) -> None:
        self.execute: Callable[..., Cursor] = db.execute_sql
        self.now_us = now_us
        self.salt = salt
        self.effects = self.no_effects()
        self._next_key: int | None = None
        self._queues: dict[str, QueueFlags] = {}

    def no_effects(self) -> Effects:
        """Effects to collect those of one operation in."""
        return Effects(now_us=self.now_us, salt=self.salt)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        return self.execute(sql, params).fetchall()

    def row(self, sql: str, params: Sequence[Any] = ()) -> Any:
        return self.execute(sql, params).fetchone()

    def key_of(self, job_id: str) -> int:
        """The primary key of a job id.

        Raises:
            ValidationError, JobNotFound: it is not an id of this database.
        """
        return ids.to_key(job_id, self.salt)

    def text_of(self, key: int) -> str:
        return ids.to_text(key, self.salt)

    def allocate(self, count: int) -> Sequence[int]:
        """`count` new keys, ascending, higher than every key before them. Look at a queue first."""
        assert self._next_key is not None
        first = self._next_key
        self._next_key += count
        return range(first, self._next_key)

    def queue(self, name: str) -> QueueFlags:
        """The flags of a queue, read once per transaction."""
        flags = self._queues.get(name)
        if flags is None:
            pushes_paused, pulls_paused, round_, limits, last_key, ports = self.row(_LOOK, (name,))
            self.effects.ports = tuple(map(int, ports.split(","))) if ports else ()
            flags = self._queues[name] = QueueFlags(pushes_paused, pulls_paused, round_, limits)
            if self._next_key is None:
                self._next_key = max(ids.first_key(self.now_us), last_key + 1)
        return flags

    def look(self, queue: str, columns: str, params: Sequence[Any]) -> Any:
        """The row of some expressions, such as subqueries. On PostgreSQL the flags of the queue come with it."""
        return self.row(f"SELECT {columns}", params)

    def expect_open(self, queue: str) -> None:
        """Spares the look at a queue that most likely takes jobs, where a look is a round trip."""

    def execute_with_log(self, sql: str, params: Sequence[Any]) -> None:
        """Runs an INSERT, on PostgreSQL one that selects from `begun` and may wait for the log to go with it."""
        self.execute(sql, params)

    def log(self, rows: Sequence[Sequence[Any]]) -> int:
        """Appends rows to the event log (`store.events`), as the last that is written; gives the highest position."""
        cursor = run_rows(self, _LOG, _LOG_WIDTH, rows)
        return 0 if cursor is None else cursor.lastrowid or 0

    def forget_queue(self, name: str) -> None:
        """To be called by whoever changes the row of a queue."""
        self._queues.pop(name, None)

    def announce(self, change: Change) -> None:
        """Notes a change, to be logged and counted before the commit and signalled after it."""
        self.effects.changes.append(change)

    def wake(self, queue: str, number: int) -> None:
        """Notes that `number` jobs of the queue can be pulled now."""
        wakes = self.effects.wakes
        wakes[queue] = wakes.get(queue, 0) + number

    def fired(self, run: ScheduleRun) -> None:
        """Notes what came of a moment of a schedule, to be signalled after the commit."""
        if self.effects.firings is None:
            self.effects.firings = []
        self.effects.firings.append(run)

    def due(self, at_us: int) -> None:
        """Notes that something will have to be done by itself at `at_us`."""
        if self.effects.due_us is None or at_us < self.effects.due_us:
            self.effects.due_us = at_us
