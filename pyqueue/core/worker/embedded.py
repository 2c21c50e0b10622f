"""A worker inside of a process that has other things to do: a web server, say."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

from pyqueue.core.worker.worker import Worker, WorkerReport

log = logging.getLogger(__name__)


class EmbeddedWorker:
    """Runs a worker on a thread of its own.

    The thread is a daemon: a process that ends without a `stop` does not wait for it, and its jobs come back when
    their leases end. Signals are the process's own affair.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ended: Future[WorkerReport] = Future()

    def start(self) -> None:
        """Starts it. May be called once."""
        threading.Thread(target=self._run, name="pyqueue-worker", daemon=True).start()

    def stop(self) -> Future[WorkerReport]:
        """Asks for the end, as `Worker.stop` does; the future is done when all that ran has ended or was given back."""
        self._worker.stop()
        return self._ended

    def _run(self) -> None:
        try:
            self._ended.set_result(self._worker.run())
        except BaseException as error:  # Whoever started it is elsewhere, and may never ask.
            log.exception("an embedded worker could not go on; this process runs no jobs any more")
            self._ended.set_exception(error)
