"""The program of a worker's child process: imports what it is told to, and runs one job after the other.

It is spoken to on its standard input, and answers on its standard output; both are taken away from the handler's
code, whose prints go to standard error. If the worker dies, the child ends at once, also in the middle of a
job: another worker will be given it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, BinaryIO, Final

from pyqueue.core import logs
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.worker import outcome, pipe, target
from pyqueue.core.worker.memory import resident_mb
from pyqueue.core.worker.pipe import Ready, Reply, Work
from pyqueue.core.worker.run import EitherHandler, is_coroutine_handler

_ORPHANED: Final = 1
Run = Callable[[Job], Any]


def main() -> None:
    """Serves until the worker closes the pipe."""
    requests, replies = _take_pipes()
    _ignore_signals()
    work = pipe.decode_work(requests.readline())
    if work.log_format is not None:
        logs.set_up(work.log_format, work.log_level)
    try:
        run = _run_of(work)
    except Exception as error:
        _say(replies, Ready(f"{type(error).__name__}: {error}"))
        return
    _say(replies, Ready())
    _Server(requests, replies, run).serve()


class _Server:
    def __init__(self, requests: BinaryIO, replies: BinaryIO, run: Run) -> None:
        self._requests, self._replies, self._run = requests, replies, run
        self._inbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._is_busy = False

    def serve(self) -> None:
        """One job after the other."""
        threading.Thread(target=self._read, name="pyqueue-pipe", daemon=True).start()
        while (line := self._inbox.get()) is not None:
            self._is_busy = True
            _, end, seconds = outcome.run(pipe.decode_job(line), self._run)
            assert isinstance(end, outcome.Said)
            _say(self._replies, Reply(end, seconds, resident_mb()))
            self._is_busy = False

    def _read(self) -> None:
        """Reads ahead, so as to notice the end of the worker while a job runs."""
        for line in self._requests:
            self._inbox.put(line)
        if self._is_busy:
            os._exit(_ORPHANED)
        self._inbox.put(None)


def _run_of(work: Work) -> Run:
    """What to call for a job."""
    found = target.load(work.import_path)
    if isinstance(found, PyQueue):
        handler = found.runs(None)
    else:
        queue = PyQueue(**work.storage)
        if isinstance(found, Tasks):
            queue.include(found)
        handler = queue.runs(None if isinstance(found, Tasks) else found)
    if isinstance(handler, EitherHandler):
        return lambda job: _awaited(handler.arun, job) if handler.is_async(job) else handler.run(job)
    if is_coroutine_handler(handler):
        return lambda job: _awaited(handler, job)
    return handler


def _awaited(handler: Run, job: Job) -> Any:
    import asyncio

    return asyncio.run(handler(job))


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, out of reach of the handler: its input is empty, its output goes where errors go."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a TextIOWrapper
    if hasattr(os, "register_at_fork"):
        # A process that a handler forks must not keep the pipe open when this one has died.
        os.register_at_fork(after_in_child=lambda: _close(requests.fileno(), replies.fileno()))
    return requests, replies


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _ignore_signals() -> None:
    """Leaves stopping to the worker. Not by SIG_IGN, which programs that a handler starts would inherit."""
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda _number, _frame: None)


def _say(replies: BinaryIO, message: Ready | Reply) -> None:
    try:
        replies.write(pipe.encode(message) + b"\n")
        replies.flush()
    except BrokenPipeError:
        os._exit(_ORPHANED)
