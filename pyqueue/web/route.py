"""One row of the table of routes, and finding the row of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from pyqueue.web.bodies import NoQuery
from pyqueue.web.errors import Refusal
from pyqueue.web.request import Given, Plan, Reply, Role

Handler = Callable[[Given[Any, Any]], Plan[Any] | Reply]


class Route(Struct, frozen=True, kw_only=True):
    """What a method on a path does, with all that is needed to check a request and to describe it.

    `body`: the type of the body, or None for a route that ignores whatever is sent. Unless `needs_body`,
    an empty body counts as `{}` whatever the content type says. `is_safe`: asking twice does no harm, so
    HEAD may be answered by it.
    """

    method: str
    path: str
    role: Role
    handler: Handler
    summary: str
    answer: tuple[type, ...]  # the forms that the reply may have
    query: Any = NoQuery
    body: Any = None
    needs_body: bool = False
    status: int = 200
    errors: tuple[str, ...] = ()
    is_safe: bool = False


class Found(Struct, frozen=True):
    """The route of a request, and the segments of its path that stand for something."""

    route: Route
    segments: tuple[str, ...]


class Table:
    """The routes, by path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in route.path.split("/")[1:]:
                node = node.below(segment)
            node.routes[route.method] = route

    def find(self, method: str, path: str) -> Found:
        """The route of a path that is still percent-encoded: `%2F` is part of a segment.

        Raises:
            Refusal: no such path, or another method.
        """
        node: _Node | None = self._root
        segments: list[str] = []
        for segment in path.split("/")[1:]:
            assert node is not None
            fixed = node.fixed.get(segment)
            if fixed is None and segment:
                segments.append(unquote(segment))
                fixed = node.variable
            node = fixed
            if node is None:
                break
        if node is None or not node.routes:
            raise Refusal("NOT_FOUND", f"there is nothing at {path[:200]}; see /api/v1/docs.")
        return Found(_by_method(node.routes, method, path), tuple(segments))


class _Node:
    """The paths that begin alike."""

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.routes: dict[str, Route] = {}

    def below(self, segment: str) -> _Node:
        if segment.startswith("{"):
            self.variable = self.variable or _Node()
            return self.variable
        return self.fixed.setdefault(segment, _Node())


def _by_method(routes: Mapping[str, Route], method: str, path: str) -> Route:
    route = routes.get("GET" if method == "HEAD" else method)
    if route is not None and (method != "HEAD" or route.is_safe):
        return route
    allowed = sorted(routes) + (["HEAD"] if "GET" in routes and routes["GET"].is_safe else [])
    raise Refusal(
        "METHOD_NOT_ALLOWED",
        f"{method[:20]} is not allowed on {path[:200]}; expected {' or '.join(allowed)}.",
        headers=(("allow", ", ".join(allowed)),),
    )
