"""The HTTP API as a blueprint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from flask import Blueprint, Response, current_app, request

from pyqueue.core.queue import PyQueue
from pyqueue.web.access import Access
from pyqueue.web.mounted import BODY_BYTES_MAX, METHODS, Mounted, as_sent
from pyqueue.web.openapi import BASE

# Who may do what: `none`, `read`, `operate` or `admin`.
Authorize = Callable[[], Access | str | Awaitable[Access | str]]


def blueprint_of(queue: PyQueue, authorize: Authorize, *, name: str, url_prefix: str | None) -> Blueprint:
    """A blueprint with the API of the queue, for those who are authorised."""
    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)
    mounted = Mounted(queue)

    @blueprint.route(f"{BASE}/<path:below>", methods=METHODS)
    def api(below: str) -> Response:
        reply = mounted.answer(
            current_app.ensure_sync(authorize)(),
            method=request.method,
            path=as_sent(f"/{below}", request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI", "")),
            query=request.query_string.decode("latin-1"),
            headers={name.lower(): value for name, value in request.headers},
            body=_body,
        )
        return Response(reply.body, reply.status, reply.headers)

    return blueprint


def _body() -> bytes:
    request.max_content_length = BODY_BYTES_MAX
    return request.get_data()
