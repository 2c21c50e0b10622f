"""The ASGI application: HTTP requests to the API, events to those who follow them."""

from __future__ import annotations

import logging
import os
import time
from typing import Final
from urllib.parse import parse_qs

import msgspec

from pyqueue.core.errors import PyQueueError, RateLimited
from pyqueue.core.queue import PyQueue
from pyqueue.server import scrape
from pyqueue.server.auth import Authentication
from pyqueue.server.browsers import Origins
from pyqueue.server.measures import Measures
from pyqueue.server.settings import Settings
from pyqueue.server.tokens import TICKET_SECONDS
from pyqueue.web.api import Api, Ready
from pyqueue.web.asgi import LongPolls, Receive, Scope, Send, body_of, headers_of, path_of, refuse_websocket, send_reply
from pyqueue.web.errors import Refusal, envelope, reply_to
from pyqueue.web.openapi import BASE
from pyqueue.web.request import Grant, Reply, Request
from pyqueue.web.streams import Streams, require_reader

log = logging.getLogger(__name__)

_SECURITY: Final = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
)
_REQUEST_ID_LENGTH_MAX: Final = 128
# The mark, in the scope of a request, of one that may have waited for jobs.
_WAITED: Final = "pyqueue.waited"


class App:
    """Everything on one port. `queue` must be open; whoever made it closes it."""

    def __init__(self, queue: PyQueue, settings: Settings) -> None:
        self._queue = queue
        self._api = Api(queue, has_webhooks=settings.webhooks.enabled)
        self.authentication = Authentication(settings.auth)
        self._origins = Origins(settings.browsers)
        self._body_bytes_max = settings.server.body_bytes_max
        self._streams = Streams(queue, settings.server.streams_max)
        self.measures = Measures()
        self.measures.gauges |= {
            "websocket_clients_connected": lambda: self._streams.clients("websocket"),
            "sse_clients_connected": lambda: self._streams.clients("sse"),
            "scheduler_tick_duration_seconds": lambda: queue.housekeeping_seconds,
        }
        self._scrape = scrape.Scrape(queue, self.measures)
        self._long_polls = LongPolls(self._api)
        self._is_stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    def stop(self) -> None:
        """Ends long polls and streams; other requests run to their end."""
        self._is_stopping = True
        self._long_polls.stop()
        self._streams.stop()

    # --- HTTP -----------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = headers_of(scope)
        request_id = _request_id(headers)
        path = path_of(scope)
        try:
            reply = await self._answer(scope, path, headers, receive, send)
        except (Refusal, PyQueueError) as error:
            reply = reply_to(error)
        except Exception:  # The last resort: a request's accident ends neither the server nor its connection.
            log.exception("a request could not be answered", extra={"request_id": request_id})
            reply = envelope(500, "INTERNAL_ERROR", "the request could not be answered; see the log of the server.")
        if reply is None:  # It was streamed, or its client is gone.
            return
        extra = (*self._origins.headers(headers.get("origin")), *_SECURITY, ("x-request-id", request_id))
        await send_reply(send, reply, extra=extra, with_body=scope["method"] != "HEAD")
        seconds = time.perf_counter() - began
        if scope["method"] != "OPTIONS":
            self.measures.answered(scope["method"], reply.status, None if scope.get(_WAITED) else seconds)
        if log.isEnabledFor(logging.DEBUG) or reply.status >= 500:
            _log_request(scope["method"], path, reply.status, request_id, seconds)

    async def _answer(
        self, scope: Scope, path: str, headers: dict[str, str], receive: Receive, send: Send
    ) -> Reply | None:
        if scope["method"] == "OPTIONS":
            preflight = self._origins.preflight(headers)
            if preflight is not None:
                return preflight
        if path in ("/live", "/ready"):
            return await self._probe(path)
        if not path.startswith(BASE + "/"):
            raise Refusal(
                "NOT_FOUND", f"there is nothing at {path[:200]}; the API is at {BASE}, its page at {BASE}/docs."
            )
        below = path.removeprefix(BASE)
        if below == scrape.PATH:
            return await self._scrape.answer(scope["method"])
        query = scope["query_string"].decode("latin-1")
        grant = None if self._api.is_public(below) else self._grant(scope, headers, below, query)
        if below == "/events/stream" and scope["method"] == "GET" and grant is not None:
            await self._streams.server_sent(grant, query, headers, receive, send)
            return None
        if below == "/events" and scope["method"] == "GET":
            raise Refusal(
                "VALIDATION_ERROR", "this is a WebSocket; send an upgrade, or GET /api/v1/events/stream.", status=426,
                headers=(("upgrade", "websocket"),),
            )  # fmt: skip
        if below == "/events/tickets" and scope["method"] == "POST" and grant is not None:
            return self._ticket(grant)
        body = await body_of(receive, headers, self._body_bytes_max)
        request = Request(
            method=scope["method"],
            path=below,
            query=query,
            content_type=headers.get("content-type", ""),
            body=body,
            grant=grant,
        )
        ready = self._api.plan(request)
        if isinstance(ready, Reply):
            return ready
        return await self._carry_out(ready, scope, receive)

    async def _carry_out(self, ready: Ready, scope: Scope, receive: Receive) -> Reply | None:
        """Does what was asked for, with a look at the clock."""
        if ready.plan.waits:
            scope[_WAITED] = True
            return await self._long_polls.answer(ready, receive)
        began = time.perf_counter()
        try:
            return await self._api.acarry_out(ready)
        except RateLimited:
            self.measures.refused(ready.plan.queue)
            raise
        finally:
            self.measures.carried_out(ready.plan, time.perf_counter() - began)

    def _grant(self, scope: Scope, headers: dict[str, str], below: str, query: str) -> Grant:
        if not self.authentication.is_on:
            self._origins.require_own(headers)
        address = scope["client"][0] if scope.get("client") else ""
        if below in ("/events", "/events/stream") and "authorization" not in headers:
            tickets = parse_qs(query).get("ticket")
            if tickets:
                return self.authentication.of_ticket(tickets[0], address)
        return self.authentication.of_header(headers.get("authorization"), address)

    def _ticket(self, grant: Grant) -> Reply:
        """A ticket for the stream, for pages that can send no header with it."""
        require_reader(grant)
        tokens = self.authentication.tokens
        ticket = tokens.ticket_for(grant) if tokens else ""
        return Reply(200, msgspec.json.encode({"ok": True, "ticket": ticket, "expires_in_ms": TICKET_SECONDS * 1_000}))

    async def _probe(self, path: str) -> Reply:
        """`/live`: the process runs. `/ready`: it takes requests, and its database answers."""
        if path == "/ready":
            if self._is_stopping:
                return envelope(503, "NOT_READY", "the server is ending.")
            await self._queue.aevents()
        return Reply(200, b'{"ok":true}')

    # --- WebSocket ------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        path, query = path_of(scope), scope["query_string"].decode("latin-1")
        await receive()  # the request to connect
        try:
            if path != BASE + "/events":
                raise Refusal("NOT_FOUND", f"there is no WebSocket at {path[:200]}; it is at {BASE}/events.")
            grant = self._grant(scope, headers, "/events", query)
            await self._streams.websocket(grant, query, receive, send)
        except (Refusal, PyQueueError) as error:
            await refuse_websocket(scope, send, reply_to(error))


def _request_id(headers: dict[str, str]) -> str:
    """The id that a proxy or client has given the request, or a new one."""
    given = headers.get("x-request-id", "")
    if given and len(given) <= _REQUEST_ID_LENGTH_MAX and given.isascii() and given.isprintable():
        return given
    return os.urandom(8).hex()


def _log_request(method: str, path: str, status: int, request_id: str, seconds: float) -> None:
    level = logging.WARNING if status >= 500 else logging.DEBUG
    facts = {
        "method": method,
        "path": path,
        "status": status,
        "request_id": request_id,
        "ms": round(seconds * 1_000, 2),
    }
    log.log(level, "request", extra=facts)
