"""Answering Prometheus, and whoever else reads `/api/v1/metrics/prometheus`."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pyqueue.core.queue import PyQueue
from pyqueue.server.measures import Measures
from pyqueue.web.errors import Refusal
from pyqueue.web.request import NO_STORE, Reply

PATH: Final = "/metrics/prometheus"
# The page is open to everyone: asking more often than this costs nobody anything.
_KEEP_SECONDS: Final = 1.0
_MISSING: Final = b"prometheus-client is not installed; pip install 'pyqueue-jobs[server]'.\n"


class Scrape:
    """The page of metrics; made beside the event loop, and by one at a time."""

    def __init__(self, queue: PyQueue, measures: Measures) -> None:
        self._queue = queue
        self._measures = measures
        self._turn = asyncio.Lock()
        self._page: Reply | None = None
        self._made_at = 0.0

    async def answer(self, method: str) -> Reply:
        """The page as it is now, or was a moment ago."""
        if method not in ("GET", "HEAD"):
            raise Refusal("METHOD_NOT_ALLOWED", f"{PATH} is read by GET.", headers=(("allow", "GET, HEAD"),))
        async with self._turn:
            if self._page is None or time.monotonic() - self._made_at >= _KEEP_SECONDS:
                self._page = await asyncio.to_thread(self._make)
                self._made_at = time.monotonic()
            return self._page

    def _make(self) -> Reply:
        try:
            from pyqueue.server import exposition  # Of no use to a server that nobody watches, and not small.
        except ImportError:
            return Reply(503, _MISSING, (("content-type", "text/plain; charset=utf-8"), NO_STORE))

        body = exposition.text(self._measures, self._queue.figures())
        return Reply(200, body, (("content-type", exposition.CONTENT_TYPE), NO_STORE))
