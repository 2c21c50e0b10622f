"""A transaction on PostgreSQL: each statement is a round trip, so those that can go together do.

The first goes with its BEGIN, and that which writes the log with the COMMIT. A lone push takes its queue for open and
has a key already: its INSERT waits for the log, whose statement looks whether the queue is open indeed. That one
statement is all there is to it, on a connection of ours and in a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, ClassVar, Final

from pyqueue.core import ids
from pyqueue.core.store.executor import Cursor, Executor
from pyqueue.core.store.postgres.ahead import BLOCK, BLOCK_BITS, BLOCKS_MASK, Ahead
from pyqueue.core.store.postgres.errors import Unexpected
from pyqueue.core.store.rows import exact_chunks, flat
from pyqueue.core.store.transaction import QUEUE_FLAGS, QueueFlags, Transaction

_PORTS: Final = "(SELECT string_agg(port::text, ',') FROM pyqueue_listener)"
_FLAGS: Final = f"""
    SELECT {QUEUE_FLAGS}, {_PORTS}{{more}}
    FROM (SELECT 1) AS one LEFT JOIN pyqueue_queue AS queue ON queue.name = ?
"""
_WIDTH: Final = len(QueueFlags._fields) + 1
_LOOK: Final = _FLAGS.format(more="")
_LOOK_TO_WRITE: Final = _FLAGS.format(more=", nextval('pyqueue_key')")
_NEXT_BLOCKS: Final = "SELECT nextval('pyqueue_key') FROM generate_series(1, ?)"

# A queue to which a lone push needs to know nothing.
_PLAIN: Final = QueueFlags(pushes_paused=False, pulls_paused=False, round=0, limits=0)
_SPECIAL: Final = """
    SELECT 1 FROM pyqueue_queue WHERE name = ? AND (pushes_paused_at IS NOT NULL OR round <> 0 OR limits <> 0)
"""

# The log. The lock comes first, since each row of the join needs it; see `store.positions`.
_APPEND: Final = """
    WITH begun AS MATERIALIZED (
        SELECT pg_advisory_xact_lock_shared('pyqueue_position'::regclass::oid::int4, (last_value & 2147483647)::int4)
               {settings}
        FROM pyqueue_position {guard}
    ){held}
    INSERT INTO pyqueue_event (
        position, happened_at, event, queue, source, state, first_id, jobs, other_ids, worker_id, error
    )
    SELECT nextval('pyqueue_position'), column1, column2, column3, column4::int, column5::int,
           column6, column7, column8, column9, column10
    FROM begun, (VALUES {rows}) AS changes
    RETURNING position, txid_current(){more}
"""
_WITHOUT_DISK: Final = ", set_config('synchronous_commit', 'off', true)"
_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_GUARD: Final = f"WHERE NOT EXISTS ({_SPECIAL})"
_HELD: Final = ", held AS ({sql})"
_HELD_ALONE: Final = "WITH begun AS (SELECT 1) "
# A notice is heard when the transaction commits, and costs those that commit beside it: none where nobody listens.
_NOTIFY: Final = "(SELECT pg_notify(?, '') WHERE EXISTS (SELECT 1 FROM pyqueue_listener))"


class PostgresTransaction(Transaction):
    """The statements of one transaction, or of one query."""

    on_postgres: ClassVar[bool] = True

    def __init__(
        self, db: Executor, *, now_us: int, salt: int, ahead: Ahead | None = None, channel: str | None = None
    ) -> None:
        """`ahead`: None for a query, which needs no keys. `channel`: where who waits is told of it, if within it."""
        self._turn = _Turn(db)
        super().__init__(self._turn, now_us=now_us, salt=salt)
        self._ahead = ahead
        self._keys_from_us = now_us if ahead is None else ahead.keys_from_us(now_us)
        self._channel = channel
        self._first_block: int | None = None
        self._last_block = 0
        self._spare: Sequence[int] = ()
        self._commits_by: Callable[..., Cursor] | None = None
        self._waits_for_disk = True
        self._is_told = False

    def commit_with_log(self, execute_and_commit: Callable[..., Cursor], *, waits_for_disk: bool) -> None:
        """From now on the log is written by what runs the last statement and commits."""
        self._commits_by, self._waits_for_disk = execute_and_commit, waits_for_disk

    def queue(self, name: str) -> QueueFlags:
        """The flags of a queue, read once per transaction, and with the first of them a block of keys."""
        flags = self._queues.get(name)
        if flags is None:
            is_first = self._first_block is None and self._ahead is not None
            found = self.row(_LOOK_TO_WRITE if is_first else _LOOK, (name,))
            flags = self._note(name, found[:_WIDTH])
            if is_first:
                self._first_block = self._last_block = found[-1]
                self._spare = self._keys_of(found[-1])
        return flags

    def look(self, queue: str, columns: str, params: Sequence[Any]) -> Any:
        """The row of some expressions, in one round trip with the flags of the queue."""
        found = self.row(_FLAGS.format(more=f", {columns}"), (*params, queue))
        self._note(queue, found[:_WIDTH])
        return found[_WIDTH:]

    def _note(self, name: str, found: Sequence[Any]) -> QueueFlags:
        *known, ports = found
        self._note_ports(ports)
        flags = self._queues[name] = QueueFlags(*known)
        if self._ahead is not None:
            self._ahead.note(name, is_plain=not (flags.pushes_paused or flags.round or flags.limits))
        return flags

    def _note_ports(self, ports: str | None) -> None:
        self.effects.ports = tuple(map(int, ports.split(","))) if ports else ()

    # --- a lone push ----------------------------------------------------------------------------

    def expect_open(self, queue: str) -> None:
        """Takes a queue for open and without limits, where nothing was asked yet. If it is not, `log` raises."""
        ahead = self._ahead
        if ahead is None or self._turn.has_begun or queue in self._queues or not ahead.is_plain(queue):
            return
        key = ahead.take_key(self._keys_from_us)
        if key is not None:
            self._spare = (key,)
            self._queues[queue] = _PLAIN
            self._turn.expect_open(queue, ahead)

    def execute_with_log(self, sql: str, params: Sequence[Any]) -> None:
        """Runs an `INSERT … SELECT … FROM begun, …`; where its queue is expected to be open, with the log."""
        self._turn.hold(sql, params)

    # --- keys -----------------------------------------------------------------------------------

    def allocate(self, count: int) -> Sequence[int]:
        """`count` new keys, ascending. Where a queue was looked at to push, the first are there already."""
        missing = -(-(count - len(self._spare)) // BLOCK)
        if missing > 0:
            blocks = [block for (block,) in self.rows(_NEXT_BLOCKS, (missing,))]
            if self._first_block is None:
                self._first_block = blocks[0]
            self._last_block = blocks[-1]
            self._spare = _joined([self._spare, *map(self._keys_of, blocks)])
        keys, self._spare = self._spare[:count], self._spare[count:]
        return keys

    def _keys_of(self, block: int) -> range:
        assert self._first_block is not None
        # Counted from the first block, so that those behind the wrap of the low bits do not come before it.
        offset = (self._first_block & BLOCKS_MASK) + block - self._first_block
        first = ids.first_key(self._keys_from_us) + (offset << BLOCK_BITS)
        return range(first, first + BLOCK)

    # --- the end --------------------------------------------------------------------------------

    def log(self, rows: Sequence[Sequence[Any]]) -> int:
        """Appends rows to the event log; gives the position of the last. On a connection of ours that commits.

        Raises:
            Unexpected: the queue is not open, and nothing was written.
        """
        if self._ahead is not None and self._spare:
            self._ahead.keep(self._last_block, min(len(self._spare), BLOCK))
            self._spare = ()
        *chunks, last = exact_chunks(rows)
        for chunk in chunks:
            self.execute(_append(len(chunk)), flat(chunk))
        expected, held, bound = self._turn.take()
        params = [*([expected] if expected else ()), *bound, *flat(last)]
        more = ""
        if self.effects.wakes and self._channel is not None:
            more, self._is_told = f", {_NOTIFY}", True
            params.append(self._channel)
        elif self.effects.wakes and self.effects.ports is None:
            more = f", {_PORTS}"
        text = _append(len(last), bool(expected), held, more, self._waits_for_disk)
        self.is_sent_off = self._commits_by is not None
        found = (self._commits_by or self.execute)(text, params).fetchall()
        if not found:
            self.is_sent_off = False
            raise self._turn.unexpected(expected)
        position, number, *answer = found[-1]
        self.trace = position, number
        if answer:
            self._note_ports(None if self._channel is not None else answer[0])
        return int(position)

    def tell(self) -> None:
        """Sends the notice, in the caller's transaction, if it did not go with the log."""
        if self.effects.wakes and not self._is_told:
            self.row(f"SELECT {_NOTIFY}", (self._channel,))


class _Turn:
    """Runs statements, and holds one back for the last, unless another comes before."""

    __slots__ = ("_ahead", "_db", "_held", "expected", "has_begun")

    def __init__(self, db: Executor) -> None:
        self._db = db
        self._held: tuple[str, Sequence[Any]] | None = None
        self._ahead: Ahead | None = None
        self.expected = ""
        self.has_begun = False

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor:
        self.has_begun = True
        if self.expected:
            self._let_go()
        return self._db.execute_sql(sql, params)

    def expect_open(self, queue: str, ahead: Ahead) -> None:
        self.has_begun = True
        self.expected, self._ahead = queue, ahead

    def hold(self, sql: str, params: Sequence[Any]) -> None:
        if self.expected and self._held is None:
            self._held = sql, params
        else:
            self.execute_sql(_HELD_ALONE + sql, params)

    def take(self) -> tuple[str, str, Sequence[Any]]:
        """The queue that is expected to be open, if one is, and the statement held back, for the last."""
        expected, self.expected = self.expected, ""
        held, self._held = self._held, None
        return (expected, *held) if held is not None else (expected, "", ())

    def unexpected(self, queue: str) -> Unexpected:
        """What to raise if it is not; next time it is looked at."""
        if self._ahead is not None:
            self._ahead.note(queue, is_plain=False)
        return Unexpected(f"queue {queue!r} is not as it was expected")

    def _let_go(self) -> None:
        expected, held, params = self.take()
        if self._db.execute_sql(_SPECIAL, (expected,)).fetchone() is not None:
            raise self.unexpected(expected)
        if held:
            self._db.execute_sql(_HELD_ALONE + held, params)


@lru_cache(maxsize=256)
def _append(count: int, is_guarded: bool = False, held: str = "", more: str = "", waits_for_disk: bool = True) -> str:
    return _APPEND.format(
        settings="" if waits_for_disk else _WITHOUT_DISK,
        guard=_GUARD if is_guarded else "",
        held=_HELD.format(sql=held) if held else "",
        rows=", ".join([_ROW] * count),
        more=more,
    )


def _joined(pieces: Sequence[Sequence[int]]) -> Sequence[int]:
    """The keys of all pieces: as a range, which the event log stores as two numbers, where they follow each other."""
    pieces = [piece for piece in pieces if piece]
    if all(b[0] == a[-1] + 1 for a, b in pairwise(pieces)):
        return range(pieces[0][0], pieces[-1][-1] + 1)
    return list(chain.from_iterable(pieces))
