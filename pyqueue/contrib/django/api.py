"""The HTTP API among the URLs of a project: `path("jobs/", include(api_urls(authorize)))`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from pyqueue.contrib.django.handle import queue
from pyqueue.core.errors import ConfigError
from pyqueue.web.access import Access
from pyqueue.web.mounted import BODY_BYTES_MAX, Mounted, as_sent
from pyqueue.web.openapi import BASE

# Who may do what: `none`, `read`, `operate` or `admin`.
Authorize = Callable[[HttpRequest], Access | str]

_PATTERN: Final = rf"^{BASE.removeprefix('/')}(?P<below>/.*)$"


def api_urls(authorize: Authorize) -> list[Any]:
    """The URLs of the HTTP API of the project's queue, for `include`: `{prefix}/api/v1/queues`, ….

    `authorize(request)` is asked at every request, documents included, and says `none`, `read`, `operate` or `admin`:
    see `pyqueue.web.access`. It may raise, such as `PermissionDenied`. Requests that pages of other sites make are
    refused whatever it says, so that programs need no CSRF token.

    Raises:
        ConfigError: a coroutine function, which nobody would wait for.
    """
    if inspect.iscoroutinefunction(authorize):
        raise ConfigError("api_urls() got an async function; expected a plain one, since its view runs on a thread.")
    mounted = Mounted(queue)

    def api(request: HttpRequest, below: str) -> HttpResponse:
        reply = mounted.answer(
            authorize(request),
            method=request.method,
            path=as_sent(below, _sent(request)),
            query=request.META.get("QUERY_STRING", ""),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=lambda: request.read(BODY_BYTES_MAX + 1),
        )
        return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))

    # A pull may wait: a transaction around the request would keep the database for as long.
    view = csrf_exempt(transaction.non_atomic_requests(api))
    return [re_path(_PATTERN, view, name="pyqueue-api")]


def _sent(request: HttpRequest) -> str:
    scope = getattr(request, "scope", None)
    if scope is not None:
        return str((scope.get("raw_path") or b"").decode("latin-1"))
    return str(request.META.get("RAW_URI") or request.META.get("REQUEST_URI", ""))
