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

    One that is ignored stays so, as whoever started this process has asked; not by programs that a handler starts.

    `notify` runs inside a signal handler: it must be reentrant and take no lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    ignored = {number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_IGN}

    def handle(number: int, _frame: FrameType | None) -> None:
        if number not in ignored:
            notify()

    before: dict[Any, Any] = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
