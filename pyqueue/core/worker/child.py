"""A child process of a worker, seen from the worker: one job at a time, over a pipe of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

from pyqueue.core.job import Job
from pyqueue.core.worker import pipe
from pyqueue.core.worker.memory import peak_mb
from pyqueue.core.worker.pipe import Reply, Work

# Run by its name, as the layers have it: the child needs the whole of pyqueue, this module does not.
_PROGRAM: Final = "import sys; sys.path[:] = {path!r}; from pyqueue.core.child import main; main()"
_END_SECONDS: Final = 5.0
_DYING_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.005


class ChildDied(Exception):
    """The process ended in the middle of something; the text says of what."""


class Child:
    """A process that was spawned, not forked: it has nothing of this one but the end of a pipe.

    It is in a session of its own, so that Ctrl-C at the terminal is left to the worker, and so that killing
    it also kills what its handler has started.
    """

    def __init__(self, work: Work) -> None:
        self.jobs_done = 0
        self.memory_mb: float | None = None
        self._mutex = threading.Lock()
        self._death: str | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._work = work

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_died(self) -> bool:
        """Whether its end was noticed."""
        return self._death is not None

    def wait_ready(self) -> None:
        """Waits until it has imported what it is to run.

        Raises:
            ChildDied: it could not.
        """
        ready = pipe.decode_ready(self._ask(pipe.encode(self._work)))
        if ready.error is not None:
            self.close()
            raise ChildDied(ready.error)

    def run(self, job: Job) -> Reply:
        """Runs one job.

        Raises:
            ChildDied: the process died of it.
        """
        reply = pipe.decode_reply(self._ask(pipe.encode(job)))
        self.jobs_done += 1
        self.memory_mb = reply.memory_mb
        return reply

    def kill(self) -> None:
        """Ends the process at once, and those that it has started. From any thread."""
        with self._mutex:
            if self._death is None:  # Else its number may be another's by now.
                _kill(self._process)

    def close(self) -> None:
        """Lets the process end by itself; kills it if it does not."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        if not self._has_ended_within(_END_SECONDS):
            self.kill()
            self._has_ended_within(_END_SECONDS)
        self._process.stdout.close()  # type: ignore[union-attr]  # it is a pipe

    def _ask(self, line: bytes) -> bytes:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(OSError):  # It has died: the answer below is empty.
            stdin.write(line + b"\n")
            stdin.flush()
        answer = stdout.readline()
        if not answer.endswith(b"\n"):
            raise ChildDied(self._how_it_died())
        return answer

    def _how_it_died(self) -> str:
        # A handler may have closed the pipe and live on, out of reach.
        if not self._has_ended_within(_DYING_SECONDS):
            self.kill()
            self._has_ended_within(_END_SECONDS)
        self.close()
        return self._death or "it closed its pipe and could not be killed"

    def _has_ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            with self._mutex:
                self._death = self._death or _death_of(self._process)
            if self._death is not None or time.monotonic() >= deadline:
                return self._death is not None
            time.sleep(_LOOK_SECONDS)


def _death_of(process: subprocess.Popen[bytes]) -> str | None:
    """How a process has ended; None if it has not."""
    if sys.platform == "win32":
        code = process.poll()
        return None if code is None else f"exit code {code}"
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)  # In place of poll(): this tells how much memory it took.
    if pid == 0:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return f"{_exit_text(process.returncode)}, peak memory {peak_mb(usage.ru_maxrss):.0f} MB"


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
