"""The HTTP API inside of an application that knows its users: `app.mount("/pyqueue", mounted_api(access))`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from pyqueue.contrib.starlette.lifespan import Ending, ending_of, queue_of
from pyqueue.core import limits, validate
from pyqueue.core.errors import PyQueueError
from pyqueue.core.queue import PyQueue
from pyqueue.web.access import Access, grant_of
from pyqueue.web.api import Api
from pyqueue.web.asgi import (
    LongPolls,
    Receive,
    Scope,
    Send,
    body_of,
    headers_of,
    path_of,
    refuse_websocket,
    send_reply,
)
from pyqueue.web.errors import Refusal, reply_to
from pyqueue.web.mounted import BODY_BYTES_MAX
from pyqueue.web.openapi import BASE, RELATIVE_BASE
from pyqueue.web.request import Grant, Reply, Request
from pyqueue.web.streams import Streams

# Who may do what: `none`, `read`, `operate` or `admin`.
Authorize = Callable[[HTTPConnection], Access | str | Awaitable[Access | str]]

STREAMS_MAX: Final = 100


def mounted_api(
    authorize: Authorize, *, body_bytes_max: int = BODY_BYTES_MAX, streams_max: int = STREAMS_MAX
) -> MountedApi:
    """The HTTP API of the queue of an application, to be mounted anywhere in it: `{mount}/api/v1/queues`, ….

    `authorize` is asked at every request, documents included: it is given the connection, with session and user, and
    says `none`, `read` (look), `operate` (and push, pull, acknowledge, cancel, retry) or `admin` (everything else
    too). It may be a coroutine function, and may raise an HTTPException; a plain function runs on a thread. Requests
    that pages of other sites make are refused whatever it says. Webhooks are of the standalone server alone.

    Raises:
        ValidationError: a number is out of range.
    """
    validate.integer(body_bytes_max, "body_bytes_max", 1, 2**31 - 1)
    validate.integer(streams_max, "streams_max", 0, limits.LIST_LIMIT_MAX)
    return MountedApi(authorize, body_bytes_max, streams_max)


class MountedApi:
    """What `mounted_api` gives: an ASGI application."""

    def __init__(self, authorize: Authorize, body_bytes_max: int, streams_max: int) -> None:
        self._authorize = authorize
        self._body_bytes_max, self._streams_max = body_bytes_max, streams_max
        # For each start of the application: its queue may be another one, and what has stopped does not go on.
        self._running: WeakKeyDictionary[Ending, _Running] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_websocket = scope["type"] == "websocket"
        if is_websocket:
            await receive()  # the request to connect
        try:
            reply = await self._answer(scope, receive, send)
        except (Refusal, PyQueueError) as error:
            reply = reply_to(error)
        if reply is not None and is_websocket:
            await refuse_websocket(scope, send, reply)
        elif reply is not None:
            await send_reply(send, reply, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """The answer, or None when it has been sent or nobody waits for it any more."""
        running = self._running_of(scope)
        headers, path = headers_of(scope), path_of(scope)
        grant = await self._grant(scope, headers)
        below, query = path.removeprefix(BASE), scope["query_string"].decode("latin-1")
        if below == path:
            raise Refusal("NOT_FOUND", f"there is nothing at {path[:200]}; the API is at {BASE} behind the mount.")
        if scope["type"] == "websocket":
            if below != "/events":
                raise Refusal("NOT_FOUND", f"there is no WebSocket at {path[:200]}; it is at {BASE}/events.")
            await running.streams.websocket(grant, query, receive, send)
            return None
        if below == "/events/stream" and scope["method"] == "GET":
            await running.streams.server_sent(grant, query, headers, receive, send)
            return None
        request = Request(
            method=scope["method"],
            path=below,
            query=query,
            content_type=headers.get("content-type", ""),
            body=await body_of(receive, headers, self._body_bytes_max),
            grant=grant,
        )
        ready = running.api.plan(request)
        if isinstance(ready, Reply):
            return ready
        if ready.plan.waits:
            return await running.long_polls.answer(ready, receive)
        return await running.api.acarry_out(ready)

    async def _grant(self, scope: Scope, headers: dict[str, str]) -> Grant:
        connection = HTTPConnection(scope)
        if inspect.iscoroutinefunction(self._authorize):
            return grant_of(await self._authorize(connection), headers)
        access = await run_in_threadpool(self._authorize, connection)
        return grant_of(await access if inspect.isawaitable(access) else access, headers)

    def _running_of(self, scope: Scope) -> _Running:
        queue, ending = queue_of(scope), ending_of(scope)
        running = self._running.get(ending)
        if running is None:
            running = self._running[ending] = _Running(queue, self._streams_max)
            ending.then(running.stop)
        return running


class _Running:
    """What serves requests from the start of an application to its end."""

    def __init__(self, queue: PyQueue, streams_max: int) -> None:
        self.api = Api(queue, base=RELATIVE_BASE)
        self.long_polls = LongPolls(self.api)
        self.streams = Streams(queue, streams_max)

    def stop(self) -> None:
        self.long_polls.stop()
        self.streams.stop()
