"""Those who follow the events: over a WebSocket, or as server-sent events.

Each reads the event log of the database by itself, from its own position: what any process did is there, a
slow reader only falls behind, and one that comes back goes on where it was. Nobody is sent events before
what came earlier. Where the log does not reach back far enough, the reader is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from pyqueue.core.job import EventPage, JobChange
from pyqueue.core.queue import PyQueue
from pyqueue.web import sse
from pyqueue.web.answers import event_object
from pyqueue.web.asgi import Receive, Send, disconnected
from pyqueue.web.errors import Refusal
from pyqueue.web.request import Grant, Role
from pyqueue.web.sse import SILENCE_MS
from pyqueue.web.stream import Filter, filter_of, stream_name

_encode: Final = msgspec.json.encode
# Commits that come within this go out together: each look at the log costs a read.
_GATHER_SECONDS: Final = 0.02
_PAGE_ROWS: Final = 500


class Streams:
    """The followers of this process."""

    def __init__(self, queue: PyQueue, streams_max: int) -> None:
        self._queue = queue
        self._streams_max = streams_max
        self._running: dict[asyncio.Task[None], str] = {}  # and over what they are sent
        self._is_stopping = False

    def stop(self) -> None:
        """Ends all streams; their clients come back where they were."""
        self._is_stopping = True
        for task in self._running:
            task.cancel()

    def clients(self, over: str) -> int:
        """How many follow over a "websocket", or by "sse"."""
        return sum(each == over for each in list(self._running.values()))

    async def server_sent(
        self, grant: Grant, query: str, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        """Sends events until the client leaves."""
        require_reader(grant)
        wanted = filter_of(query, headers.get("last-event-id"), grant)
        position = await self._begin(wanted)
        head = [(b"content-type", sse.CONTENT_TYPE.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": head})

        async def write() -> None:
            async for page in self._pages(position):
                await send({"type": "http.response.body", "body": _sse(page, wanted), "more_body": True})

        await self._until_gone("sse", write(), disconnected(receive))
        if self._is_stopping:
            await send({"type": "http.response.body", "body": b""})

    async def websocket(self, grant: Grant, query: str, receive: Receive, send: Send) -> None:
        """Sends one text frame for each event until the client closes."""
        require_reader(grant)
        wanted = filter_of(query, None, grant)
        position = await self._begin(wanted)
        await send({"type": "websocket.accept"})

        async def write() -> None:
            async for page in self._pages(position):
                for frame in _frames(page, wanted):
                    await send({"type": "websocket.send", "text": frame.decode()})

        await self._until_gone("websocket", write(), _websocket_gone(receive))
        if self._is_stopping:
            await send({"type": "websocket.close", "code": 1012})  # "service restart"

    async def _begin(self, wanted: Filter) -> int:
        if self._is_stopping or len(self._running) >= self._streams_max:
            raise Refusal("RATE_LIMITED", "as many follow the events as may; try again later.")
        return (await self._queue.aevents()).position if wanted.after is None else wanted.after

    async def _pages(self, position: int) -> AsyncIterator[EventPage]:
        """What happens from a position on; a page without changes after a time of silence."""
        while True:
            page = await self._queue.aevents(position, limit=_PAGE_ROWS, wait_ms=SILENCE_MS)
            yield page
            position = page.position
            await asyncio.sleep(_GATHER_SECONDS)

    async def _until_gone(self, over: str, writing: Any, going: Any) -> None:
        """Writes until the client goes or the server stops."""
        writer, gone = asyncio.create_task(writing), asyncio.create_task(going)
        self._running[writer] = over
        try:
            await asyncio.wait((writer, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._running[writer]
            for task in (writer, gone):
                task.add_done_callback(_seen)
                task.cancel()
            # Not `gather`: cancelled itself while it waits, it raises another cancellation than the one it was told.
            await asyncio.wait((writer, gone))


def require_reader(grant: Grant) -> None:
    """Raises Refusal for one who may not look at jobs, and so not at what happens to them."""
    if not grant.allows(Role.READ):
        raise Refusal("FORBIDDEN", f"token {grant.name!r} lacks the role 'read'.")


def _sse(page: EventPage, wanted: Filter) -> bytes:
    """A page as server-sent events. Only the last of a commit has an id: whoever comes back misses none of it."""
    lines = [sse.event("gap", b"{}")] if page.has_gap else []
    for change, is_last in _selected(page, wanted):
        data = _encode(event_object(change) if wanted.is_full else wanted.plain(change))
        position = str(change.position) if is_last and change.position is not None else None
        lines.append(sse.event(stream_name(change), data, last_id=position))
    # The position moves on although nothing was of interest, so that a return does not begin too far back.
    lines.append(b"id: %d\n%s" % (page.position, sse.comment(f"at {page.position}")))
    return b"".join(lines)


def _frames(page: EventPage, wanted: Filter) -> list[bytes]:
    """A page as text frames: exactly the four keys of the wire format, unless more were asked for."""
    if not wanted.is_full:
        return [_encode(wanted.plain(change)) for change, _ in _selected(page, wanted)]
    frames = [_encode({"event": "gap", "id": page.position})] if page.has_gap else []
    return frames + [
        _encode(event_object(change) | ({"id": change.position} if is_last else {}))
        for change, is_last in _selected(page, wanted)
    ]


def _selected(page: EventPage, wanted: Filter) -> list[tuple[JobChange, bool]]:
    """The changes that are wanted, each with whether its commit ends with it."""
    following: list[JobChange | None] = [*page.changes[1:], None]
    return [
        (change, after is None or after.position != change.position)
        for change, after in zip(page.changes, following, strict=False)
        if wanted.takes(change)
    ]


async def _websocket_gone(receive: Receive) -> None:
    """Reads what the client sends, which means nothing to us, until it closes."""
    while (await receive())["type"] != "websocket.disconnect":
        continue


def _seen(task: asyncio.Task[None]) -> None:
    """A client that is gone in the middle of a frame is no error of ours."""
    if not task.cancelled():
        task.exception()
