"""A worker on a thread of its own, for the length of a block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyqueue import Worker, WorkerReport


@contextmanager
def running(worker: Worker) -> Iterator[list[WorkerReport]]:
    """Runs the worker; its report is there when it has ended, at the latest after the block."""
    reports: list[WorkerReport] = []
    thread = threading.Thread(target=lambda: reports.append(worker.run()))
    thread.start()
    try:
        yield reports
    finally:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()
