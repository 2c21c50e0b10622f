"""What pages in a browser may do: nothing, unless they are our own or their origin is allowed.

A page of any site can make a browser send requests to this machine, and a plain GET takes a job without any
preflight. Browsers mark such requests (`Sec-Fetch-Site`, `Origin`), and no page can take the mark off; programs
send none. A page whose name was made to point at this machine betrays itself by its `Host`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyqueue.server.settings import Browsers, is_loopback
from pyqueue.web.access import is_of_another_site
from pyqueue.web.errors import Refusal
from pyqueue.web.request import Reply

_PREFLIGHT: Final = (
    ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"),
    ("access-control-max-age", "600"),
)
_NAMED_HEADERS: Final = "authorization, content-type, last-event-id, x-request-id"


class Origins:
    """Which pages may use the API."""

    def __init__(self, settings: Browsers) -> None:
        self._allowed = frozenset(settings.cors_origins)

    @property
    def allows_any(self) -> bool:
        return "*" in self._allowed

    def headers(self, origin: str | None) -> tuple[tuple[str, str], ...]:
        """The headers that let a page of the origin read the reply."""
        if self.allows_any:
            return (("access-control-allow-origin", "*"),)
        if origin is None or origin not in self._allowed:
            return (("vary", "Origin"),) if self._allowed else ()
        return (("access-control-allow-origin", origin), ("vary", "Origin"))

    def preflight(self, headers: Mapping[str, str]) -> Reply | None:
        """The answer to a browser that asks before it sends, where CORS is on."""
        if "access-control-request-method" not in headers or not self._allowed:
            return None
        origin = headers.get("origin")
        if self.allows_any:
            stars = (("access-control-allow-methods", "*"), ("access-control-allow-headers", "*"))
            return Reply(200, b"", (*self.headers(origin), *stars))
        allowed = (*_PREFLIGHT, ("access-control-allow-headers", _NAMED_HEADERS)) if origin in self._allowed else ()
        return Reply(200, b"", (*self.headers(origin), *allowed))

    def require_own(self, headers: Mapping[str, str]) -> None:
        """Refuses requests of foreign pages; for servers without tokens, which trust whoever reaches them.

        Raises:
            Refusal.
        """
        origin, host = headers.get("origin"), headers.get("host", "")
        if self.allows_any or (origin is not None and origin in self._allowed):
            return
        if not is_loopback(_name_of(host)):
            raise Refusal("FORBIDDEN", f"Host {host[:80]!r} is not this machine; expected such as localhost.")
        if is_of_another_site(headers):
            raise Refusal(
                "FORBIDDEN", "a page of another site may not use this server; see cors_origins, or use a token."
            )


def _name_of(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
