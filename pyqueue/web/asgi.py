"""The API over ASGI: what the standalone server and a mount in another application have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from pyqueue.web.api import Api, Ready
from pyqueue.web.errors import Refusal
from pyqueue.web.request import Reply

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What may pass before a client has sent its whole body; slower ones only hold a connection.
_BODY_SECONDS: Final = 60.0
_DRAINED_BYTES_MAX: Final = 16 * 1_048_576


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by their names in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def path_of(scope: Scope) -> str:
    """The path as it was sent, percent-encoded, without the place where a proxy or a mount has put us."""
    raw = scope.get("raw_path") or scope["path"].encode()
    path: str = raw.partition(b"?")[0].decode("latin-1")
    return path.removeprefix(scope.get("root_path", ""))


async def body_of(receive: Receive, headers: dict[str, str], bytes_max: int) -> bytes:
    """The whole body of a request.

    Raises:
        Refusal: it has more than `bytes_max` bytes. TimeoutError: it does not come to its end.
    """
    length = headers.get("content-length", "")
    message = await receive()
    body: bytes = message.get("body", b"")
    is_too_large = max(len(body), int(length) if length.isdecimal() else 0) > bytes_max
    if not message.get("more_body") and not is_too_large:
        return body
    parts, size = [body], len(body)
    async with asyncio.timeout(_BODY_SECONDS):
        # A client that is still sending would not see the answer to a body that is too large: let it finish,
        # unless it has far too much to say.
        while message.get("more_body") and size <= _DRAINED_BYTES_MAX:
            message = await receive()
            size += len(message.get("body", b""))
            is_too_large = is_too_large or size > bytes_max
            if not is_too_large:
                parts.append(message.get("body", b""))
    if is_too_large:
        raise Refusal(
            "PAYLOAD_TOO_LARGE",
            f"the body has more than {bytes_max:,} bytes; send less, or in parts.",
            headers=(("connection", "close"),),
        )
    return b"".join(parts)


async def send_reply(send: Send, reply: Reply, *, extra: Sequence[tuple[str, str]] = (), with_body: bool) -> None:
    """Sends an answer with its headers and `extra` ones."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in (*reply.headers, *extra)]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body if with_body else b""})


async def refuse_websocket(scope: Scope, send: Send, reply: Reply) -> None:
    """Answers the request to connect with an HTTP error, where the server can."""
    if "websocket.http.response" in scope.get("extensions", {}):
        headers = [(name.encode(), value.encode()) for name, value in reply.headers]
        await send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": reply.body})
    else:
        await send({"type": "websocket.close", "code": 1008})


class LongPolls:
    """Requests that wait for jobs."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._running: set[asyncio.Task[Reply]] = set()
        self._is_stopping = False

    def stop(self) -> None:
        """Answers all that wait, with nothing; on the thread of their loop."""
        self._is_stopping = True
        for wait in self._running:
            wait.cancel()

    async def answer(self, ready: Ready, receive: Receive) -> Reply | None:
        """Carries out what may take long; ends it when the client is gone (None), or the server is to stop.

        A pull that is cancelled gives back what it had taken, so no job is lost to a client that has left.
        """
        answer = asyncio.create_task(self._api.acarry_out(ready))
        gone = asyncio.create_task(disconnected(receive))
        self._running.add(answer)
        try:
            if self._is_stopping:
                answer.cancel()
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return Reply(200, ready.plan.shape(ready.plan.nothing)) if answer.cancelled() else answer.result()
            answer.cancel()
            return None
        finally:
            self._running.discard(answer)
            gone.cancel()


async def disconnected(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue
