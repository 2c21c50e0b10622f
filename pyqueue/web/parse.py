"""Bodies and queries, parsed once into the types of the route; errors name the field."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from pyqueue.web.errors import Refusal
from pyqueue.web.request import Request
from pyqueue.web.route import Route

_JSON_TYPE: Final = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_QUERY_FIELDS_MAX: Final = 50


def parse_query(route: Route, query: str) -> Any:
    """The query of a request, numbers read from their text. Keys that nobody knows are ignored."""
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX))
        return msgspec.convert(given, route.query, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise Refusal("VALIDATION_ERROR", f"query: {_told(error)}", status=400) from error


def parse_body(route: Route, request: Request) -> Any:
    """The body of a request; None where the route reads none.

    Raises:
        Refusal: not JSON (400), sent as something else (415), or of another shape (422).
    """
    if route.body is None:
        return None
    if not request.body.strip():
        if not route.needs_body:
            return _decoder(route.body).decode(b"{}")
        raise Refusal("VALIDATION_ERROR", "the body is empty; expected JSON.", status=400)
    if not _JSON_TYPE.fullmatch(request.content_type.strip()):
        raise Refusal(
            "VALIDATION_ERROR",
            f"Content-Type {request.content_type[:80]!r}; expected 'application/json'.",
            status=415,
        )
    try:
        return _decoder(route.body).decode(request.body)
    except msgspec.ValidationError as error:
        raise Refusal("VALIDATION_ERROR", f"body: {_told(error)}", status=422) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(
            "VALIDATION_ERROR", f"the body is not JSON ({error}); expected such as {{}}.", status=400
        ) from error


@cache
def _decoder(body: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(body)


def _told(error: Exception) -> str:
    return f"{str(error).rstrip('.')}."
