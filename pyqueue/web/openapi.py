"""The OpenAPI document, made from the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import msgspec

from pyqueue._version import VERSION
from pyqueue.web import replies
from pyqueue.web.errors import STATUSES
from pyqueue.web.request import Reply
from pyqueue.web.route import Route

BASE: Final = "/api/v1"
_REFERENCE: Final = "#/components/schemas/{name}"
_SEGMENTS: Final = re.compile(r"\{(\w+)\}")
# What any request may meet, whatever it asks for.
_ANYWHERE: Final = (400, 401, 403, 404, 429, 500, 503)
_OF_BODIES: Final = (413, 415, 422)
_MEANINGS: Final = {
    400: "The request does not fit: the message names the value, the rule and a way out",
    401: "No token, or none that is known",
    403: "The token does not allow this, or the request came from a page of another site",
    404: "There is no such thing",
    409: "The job or queue is not in a state that allows this",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "The body is JSON of another shape",
    429: "Too many requests",
    500: "The server failed",
    503: "Not now: the queue is paused, or the server is ending",
}


# The same place from wherever the document is: for an API that is mounted somewhere.
RELATIVE_BASE: Final = "../v1"


def page(base: str = BASE) -> Reply:
    """The document as a reply; `base` is where the paths begin, as a client of the document sees it."""
    return Reply(200, _encoded(base))


@cache
def _encoded(base: str) -> bytes:
    from pyqueue.web.api import ROUTES  # Described when somebody asks, not when the server starts.

    return msgspec.json.encode(document(ROUTES, base))


def document(routes: Iterable[Route], base: str = BASE) -> dict[str, Any]:
    """An OpenAPI 3.1 document of the routes."""
    routes = tuple(routes)
    types = [each for route in routes for each in (*route.answer, route.query, *_body_types(route.body))]
    _, schemas = msgspec.json.schema_components([*types, replies.Health, replies.Error], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {"/health": {"get": _health()}}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pyqueue", "version": VERSION, "description": "Job queues over HTTP."},
        "servers": [{"url": base}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "description": f"Needs a token with the role `{route.role.value}`.",
        "tags": [route.path.split("/")[1]],
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas)],
        "responses": _responses(route),
    }
    if route.body is not None:
        body = {"application/json": {"schema": _one_of(_body_schemas(route.body))}}
        operation["requestBody"] = {"required": route.needs_body, "content": body}
    return operation


def _operation_id(route: Route) -> str:
    words = re.sub(r"[{}]", "", route.path).replace("-", "/").split("/")[1:]
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _SEGMENTS.findall(route.path)
    ]


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    found = schemas[route.query.__name__]
    return [
        {"name": name, "in": "query", "required": name in found.get("required", ()), "schema": _not_null(schema)}
        for name, schema in found["properties"].items()
    ]


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null; what can be null is what can be left out."""
    forms = [form for form in schema.get("anyOf", ()) if form != {"type": "null"}]
    if not forms:
        return schema
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _body_types(body: Any) -> list[Any]:
    if body is None:
        return []
    return [each for each in getattr(body, "__args__", (body,)) if isinstance(each, type)]


def _body_schemas(body: Any) -> list[dict[str, Any]]:
    [schema], _ = msgspec.json.schema_components([body], ref_template=_REFERENCE)
    forms: list[dict[str, Any]] = schema.get("anyOf", [schema])
    return forms


def _one_of(forms: list[dict[str, Any]]) -> dict[str, Any]:
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _reference(form: type) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(name=form.__name__)}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _responses(route: Route) -> dict[str, Any]:
    statuses = {*_ANYWHERE, *(STATUSES[code] for code in route.errors)}
    if route.body is not None:
        statuses |= set(_OF_BODIES)
    good = {"description": "Done", "content": _content(_one_of(list(map(_reference, route.answer))))}
    bad = {
        str(status): {"description": _MEANINGS[status], "content": _content(_reference(replies.Error))}
        for status in sorted(statuses)
    }
    return {str(route.status): good, **bad}


def _health() -> dict[str, Any]:
    good = {"description": "It runs", "content": _content(_reference(replies.Health))}
    return {
        "operationId": "get_health",
        "summary": "Whether the server runs",
        "security": [],
        "responses": {"200": good},
    }
