"""Stopping: the first signal finishes what runs, the second gives it back and leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))


@contextmanager
def on_signals(notify: Callable[[], None]) -> Iterator[None]:
    """Calls `notify` at each SIGTERM or SIGINT while the block runs; only the main thread can be told.

    `notify` runs inside a signal handler: it must be reentrant and take no lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        notify()

    before: dict[Any, Any] = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
