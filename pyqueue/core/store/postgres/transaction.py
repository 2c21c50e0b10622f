"""A transaction on PostgreSQL: keys from a sequence, since no transaction sees what the others are about to write."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, ClassVar, Final

from pyqueue.core import ids
from pyqueue.core.store.executor import Executor
from pyqueue.core.store.transaction import QUEUE_FLAGS, QueueFlags, Transaction

# The sequence counts blocks of 64 keys: a lone push takes one, a batch as many as it needs. The low 21 bits of a
# key would be given twice if 32,768 blocks were taken within a millisecond; a server manages some ten.
_BLOCK_BITS: Final = 6
_BLOCK: Final = 1 << _BLOCK_BITS
_BLOCKS_MASK: Final = (1 << ids.SEQUENCE_BITS - _BLOCK_BITS) - 1

_FLAGS: Final = f"""
    SELECT {QUEUE_FLAGS}, (SELECT string_agg(port::text, ',') FROM pyqueue_listener){{more}}
    FROM (SELECT 1) AS one LEFT JOIN pyqueue_queue AS queue ON queue.name = ?
"""
_WIDTH: Final = len(QueueFlags._fields) + 1
_LOOK: Final = _FLAGS.format(more="")
_LOOK_TO_WRITE: Final = _FLAGS.format(more=", nextval('pyqueue_key')")
_NEXT_BLOCKS: Final = "SELECT nextval('pyqueue_key') FROM generate_series(1, ?)"


class PostgresTransaction(Transaction):
    """The statements of one transaction, or of one query."""

    on_postgres: ClassVar[bool] = True

    def __init__(self, db: Executor, *, now_us: int, salt: int, keys_from_us: int | None = None) -> None:
        """`keys_from_us`: the earliest time in new keys; None for a query, which needs none."""
        super().__init__(db, now_us=now_us, salt=salt)
        self._keys_from_us = keys_from_us
        self._first_block: int | None = None
        self._spare: Sequence[int] = ()

    def queue(self, name: str) -> QueueFlags:
        """The flags of a queue, read once per transaction, and with the first of them a block of keys."""
        flags = self._queues.get(name)
        if flags is None:
            is_first = self._first_block is None and self._keys_from_us is not None
            found = self.row(_LOOK_TO_WRITE if is_first else _LOOK, (name,))
            flags = self._note(name, found[:_WIDTH])
            if is_first:
                self._first_block = found[-1]
                self._spare = self._keys_of(found[-1])
        return flags

    def look(self, queue: str, columns: str, params: Sequence[Any]) -> Any:
        """The row of some expressions, in one round trip with the flags of the queue."""
        found = self.row(_FLAGS.format(more=f", {columns}"), (*params, queue))
        self._note(queue, found[:_WIDTH])
        return found[_WIDTH:]

    def _note(self, name: str, found: Sequence[Any]) -> QueueFlags:
        *known, ports = found
        self.effects.ports = tuple(map(int, ports.split(","))) if ports else ()
        flags = self._queues[name] = QueueFlags(*known)
        return flags

    def allocate(self, count: int) -> Sequence[int]:
        """`count` new keys, ascending. Where a queue was looked at to push, the first are there already."""
        missing = -(-(count - len(self._spare)) // _BLOCK)
        if missing > 0:
            blocks = [block for (block,) in self.rows(_NEXT_BLOCKS, (missing,))]
            if self._first_block is None:
                self._first_block = blocks[0]
            self._spare = _joined([self._spare, *map(self._keys_of, blocks)])
        keys, self._spare = self._spare[:count], self._spare[count:]
        return keys

    def _keys_of(self, block: int) -> range:
        assert self._first_block is not None and self._keys_from_us is not None
        # Counted from the first block, so that those behind the wrap of the low bits do not come before it.
        offset = (self._first_block & _BLOCKS_MASK) + block - self._first_block
        first = ids.first_key(self._keys_from_us) + (offset << _BLOCK_BITS)
        return range(first, first + _BLOCK)


def _joined(pieces: Sequence[Sequence[int]]) -> Sequence[int]:
    """The keys of all pieces: as a range, which the event log stores as two numbers, where they follow each other."""
    pieces = [piece for piece in pieces if piece]
    if all(b[0] == a[-1] + 1 for a, b in pairwise(pieces)):
        return range(pieces[0][0], pieces[-1][-1] + 1)
    return list(chain.from_iterable(pieces))
