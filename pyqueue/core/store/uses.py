"""Counting who uses a connection outside the writer's lock, so that all of them can be waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Uses:
    """Any number of uses at a time; `stop` waits for the last of them and lets no other begin."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: who was counted was the parent's."""
        self._changed = threading.Condition(threading.Lock())
        self._number = 0
        self._is_stopped = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """A use, for the length of the block."""
        with self._changed:
            while self._is_stopped:
                self._changed.wait()
            self._number += 1
        try:
            yield
        finally:
            with self._changed:
                self._number -= 1
                self._changed.notify_all()

    def stop(self, seconds: float) -> bool:
        """Waits for the uses there are, and holds new ones back; False if some go on for longer."""
        with self._changed:
            self._is_stopped = True
            return self._changed.wait_for(lambda: not self._number, seconds)

    def go_on(self) -> None:
        """Lets new uses begin again."""
        with self._changed:
            self._is_stopped = False
            self._changed.notify_all()
