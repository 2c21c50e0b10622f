"""The API inside of an application whose framework calls it on a thread, as those over WSGI do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, unquote

from pyqueue.core.queue import PyQueue
from pyqueue.web.access import grant_of
from pyqueue.web.api import Api
from pyqueue.web.errors import Refusal, reply_to
from pyqueue.web.openapi import RELATIVE_BASE
from pyqueue.web.request import Reply, Request

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Enough for the largest batch of a push, and little enough for a process to hold a few.
BODY_BYTES_MAX: Final = 16 * 1_048_576
# What follows events keeps its connection, which takes an event loop.
_STREAMS: Final = ("/events", "/events/stream")


class Mounted:
    """Serves the API of a queue below whatever path the application has put it."""

    def __init__(self, queue: PyQueue) -> None:
        self._api = Api(queue, base=RELATIVE_BASE)

    def answer(
        self,
        access: object,
        *,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: Callable[[], bytes],
    ) -> Reply:
        """The answer to a request of one whose `access` the application has decided: see `web.access`.

        `path`: what stands behind `/api/v1`, percent-encoded. `headers`: by their names in lower case. `body` is read
        only of those who may be here.

        Raises:
            ConfigError: `access` is no `Access`.
        """
        try:
            grant = grant_of(access, headers)
            if path in _STREAMS:
                raise Refusal(
                    "NOT_FOUND",
                    "events are streamed by ASGI applications, and by `pyqueue serve` on the same database; here read "
                    "/api/v1/events/log.",
                )
            length = headers.get("content-length", "")
            content = body() if not (length.isdecimal() and int(length) > BODY_BYTES_MAX) else None
            if content is None or len(content) > BODY_BYTES_MAX:
                raise Refusal(
                    "PAYLOAD_TOO_LARGE", f"the body has more than {BODY_BYTES_MAX:,} bytes; send less, or in parts."
                )
        except Refusal as error:
            return reply_to(error)
        reply = self._api.handle(
            Request(
                method=method,
                path=path,
                query=query,
                content_type=headers.get("content-type", ""),
                body=content,
                grant=grant,
            )
        )
        return Reply(reply.status, b"", reply.headers) if method == "HEAD" else reply


def as_sent(path: str, raw_uri: str) -> str:
    """A path that WSGI has decoded, as the end of the URI that was sent; encoded anew if the server does not tell.

    In the former a `%2F` is still a part of a segment.
    """
    sent = raw_uri.partition("?")[0]
    for start, letter in enumerate(sent):
        if letter == "/" and unquote(sent[start:]) == path:
            return sent[start:]
    return quote(path)
