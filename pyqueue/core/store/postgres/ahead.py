"""What a process knows before it asks the server, so that a lone push needs to ask nothing."""

from __future__ import annotations

import threading
import time
from typing import Final

from pyqueue.core import ids

# The sequence counts blocks of 64 keys: a batch takes as many as it needs, and what is left of the last serves lone
# pushes. The low 21 bits of a key would be given twice if 32,768 blocks were taken within a millisecond.
BLOCK_BITS: Final = 6
BLOCK: Final = 1 << BLOCK_BITS
BLOCKS_MASK: Final = (1 << ids.SEQUENCE_BITS - BLOCK_BITS) - 1

# A block is not kept until its number comes round: 32,768 of them in so many seconds are beyond any server.
_KEPT_SECONDS: Final = 10.0


class Ahead:
    """Keys for the next jobs, and which queues are not as most: paused, limited, or with groups."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._us = 0
        self._block = -1
        self._next = BLOCK
        self._until = 0.0
        self._special: set[str] = set()

    def keys_from_us(self, now_us: int) -> int:
        """The time for new keys: those of one process grow even if its clock goes back."""
        self._us = max(self._us, now_us)
        return self._us

    def take_key(self, us: int) -> int | None:
        """A key that nobody else has, if one is left."""
        with self._mutex:
            if self._next == BLOCK or time.monotonic() > self._until:
                return None
            number = self._next
            self._next += 1
            return ids.first_key(us) + ((self._block & BLOCKS_MASK) << BLOCK_BITS) + number

    def keep(self, block: int, unused: int) -> None:
        """Keeps the last keys of a block, which was got just now, unless there are newer ones."""
        with self._mutex:
            if block > self._block:
                self._block, self._next = block, BLOCK - unused
                self._until = time.monotonic() + _KEPT_SECONDS

    def is_plain(self, queue: str) -> bool:
        """Whether a queue is open and without limits and groups, as far as is known."""
        return queue not in self._special

    def note(self, queue: str, *, is_plain: bool) -> None:
        """To be told how a queue was found."""
        if not is_plain:
            self._special.add(queue)
        elif self._special:
            self._special.discard(queue)
