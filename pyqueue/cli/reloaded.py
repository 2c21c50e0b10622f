"""A worker in a process of its own, below the one that starts it anew when the code changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Child:
    """A worker in a process of its own, which lets its running jobs finish when this process is to end.

    A signal may come to this process alone or, as Ctrl-C does, to both. So that either is one order to the worker, it
    ignores SIGINT, and each signal that comes here is handed on to it as a SIGTERM: the second ends it at once.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.is_stopping = False
        self._command, self._environment = command, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._hand_on) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self) -> None:
        """Starts it, unless this process is to end."""
        if self.is_stopping:
            return
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The child inherits that.
        try:
            self._process = subprocess.Popen(self._command, env={**os.environ, **(self._environment or {})})
        finally:
            signal.signal(signal.SIGINT, self._hand_on)
        if self.is_stopping:  # Told meanwhile, when there was nobody to hand it on to.
            self._process.terminate()

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def wait(self) -> int:
        """Its exit code, when it has ended; 0 if it was asked to end before it was at work."""
        code = 0 if self._process is None else self._process.wait()
        return 0 if self.is_stopping and code == -signal.SIGTERM else code

    def end(self) -> None:
        """Ends it after the jobs that run, or when its grace is over."""
        if not self.has_ended:
            self._tell()
        self.wait()

    def _hand_on(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_stopping:  # By os.write, since a stream may be in use below this handler.
            os.write(sys.stderr.fileno(), b"ending after the jobs that run; once more ends at once\n")
        self.is_stopping = True
        self._tell()

    def _tell(self) -> None:
        # Not Popen.send_signal, whose lock whoever waits may hold below this signal handler; nor a pid that was waited
        # for and may be another's by now.
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # It has just ended.
                os.kill(self._process.pid, signal.SIGTERM)
