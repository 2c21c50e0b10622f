"""Workers inside of the processes that serve an application."""

from __future__ import annotations

import atexit
import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, Final

from flask import Flask

from pyqueue.core.store import fork
from pyqueue.core.worker.embedded import EmbeddedWorker

if TYPE_CHECKING:
    from pyqueue.contrib.flask.queues import AppQueue

# What runs may go on for so long when the process ends: Docker kills after 10 s.
GRACE_MS: Final = 8_000
_MORE_SECONDS: Final = 1.0


class Embedded:
    """A worker that each process starts with its first request, and not before.

    So the parent of a reloader or of a preloading server, a shell and a command have none, whatever they import.
    A forked child knows nothing of its parent's, and starts its own.
    """

    def __init__(self, queue: AppQueue, concurrency: int) -> None:
        self._queue, self._concurrency = queue, concurrency
        self._lock = threading.Lock()
        self._worker: EmbeddedWorker | None = None
        self._is_over = False
        fork.watch(self)

    def start_with(self, app: Flask, **_: Any) -> None:
        """For the signal `request_started`. Applications under test have none: their tests run the jobs."""
        if self._worker is None and not app.testing:
            self.start()

    def start(self) -> None:
        """Starts it, unless it runs, or the process is ending, which may serve requests to the last."""
        with self._lock:
            if self._worker is None and not self._is_over:
                worker = EmbeddedWorker(self._queue.worker(concurrency=self._concurrency, grace_ms=GRACE_MS))
                worker.start()
                atexit.register(self.stop)
                self._worker = worker

    def stop(self) -> None:
        """Lets what runs finish, and gives the rest back. Called when the process ends."""
        with self._lock:
            worker, self._worker, self._is_over = self._worker, None, True
        atexit.unregister(self.stop)
        if worker is not None:
            # Beyond that its jobs come back when their leases end.
            wait([worker.stop()], GRACE_MS / 1_000 + _MORE_SECONDS)

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._worker, self._is_over = None, False
        atexit.unregister(self.stop)
