"""Sends the signals of what was committed, on a thread of its own, so that no receiver delays a job."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from pyqueue.core import ids
from pyqueue.core.signals import BY_EVENT, JobChange, tell
from pyqueue.core.states import STATES
from pyqueue.core.store.transaction import Change

log = logging.getLogger(__name__)

# Changes that may wait for slow receivers. Beyond it the oldest are dropped, and the loss is logged.
PENDING_MAX: Final = 100_000
_IDLE_SECONDS: Final = 2.0


class Announcer:
    """Turns changes into blinker signals with `sender`, in the order of the commits of this process."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self.after_fork()

    def after_fork(self) -> None:
        """Begins afresh: the changes that waited are the parent's to announce."""
        self._pending: deque[JobChange] = deque()
        self._mutex = threading.Lock()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        self._all_sent = threading.Event()
        self._all_sent.set()

    def announce(self, changes: Sequence[Change], *, salt: int, at_us: int) -> None:
        """Queues the signals of the changes somebody listens to; returns at once."""
        for change in changes:
            if BY_EVENT[change.event].receivers:
                self._put(change, salt, at_us)

    def _put(self, change: Change, salt: int, at_us: int) -> None:
        state = None if change.state is None else STATES[change.state]
        with self._mutex:
            self._all_sent.clear()
            for key in change.keys:
                self._pending.append(
                    JobChange(
                        event=change.event,
                        job_id=ids.to_text(key, salt),
                        queue=change.queue,
                        state=state,
                        at_us=at_us,
                        error=change.error,
                        worker_id=change.worker_id,
                    )
                )
            dropped = max(0, len(self._pending) - PENDING_MAX)
            for _ in range(dropped):
                self._pending.popleft()
            if self._thread is None:
                thread = threading.Thread(target=self._send_all, name="pyqueue-signals", daemon=True)
                thread.start()  # Raises if the machine has no threads left; the next change tries again.
                self._thread = thread
        if dropped:
            log.warning("signals dropped: the receivers are too slow", extra={"dropped": dropped})
        self._work.set()

    def drain(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds until everything announced so far was sent; False if it was not."""
        return self._thread is not threading.current_thread() and self._all_sent.wait(timeout)

    def _send_all(self) -> None:
        while True:
            if not self._work.wait(_IDLE_SECONDS):
                with self._mutex:
                    if not self._pending:
                        self._thread = None
                        return
            self._work.clear()
            while self._pending:
                self._send(self._pending.popleft())
            with self._mutex:
                if not self._pending:
                    self._all_sent.set()

    def _send(self, change: JobChange) -> None:
        tell(BY_EVENT[change.event], self._sender, change=change)
