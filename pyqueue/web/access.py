"""Access for an application that has the API mounted in it, and knows its users itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from pyqueue.core.errors import ConfigError
from pyqueue.core.validate import shown
from pyqueue.web.errors import Refusal
from pyqueue.web.request import Grant, Role


class Access(StrEnum):
    """What the one who sends a request may do."""

    NONE = "none"
    READ = "read"  # look at jobs, queues, schedules and events
    OPERATE = "operate"  # and push, pull, acknowledge, cancel and retry
    ADMIN = "admin"  # and pause, purge and delete, change schedules and limits


_ROLES: Final = {
    Access.READ: frozenset({Role.READ}),
    Access.OPERATE: frozenset({Role.READ, Role.PUSH, Role.WORK}),
    Access.ADMIN: frozenset(Role),
}


def grant_of(access: object, headers: Mapping[str, str]) -> Grant:
    """What a request with these headers (names in lower case) may do, of what the application has said.

    The user may be known by a cookie, which a browser sends whatever page makes it: one of another site is refused,
    for reading too, since a GET can take a job.

    Raises:
        Refusal: nothing, or the request comes from a page of another site. ConfigError: `access` is no `Access`.
    """
    try:
        level = Access(access)  # type: ignore[arg-type]  # whatever else it is, it is refused
    except ValueError:
        known = ", ".join(Access)
        raise ConfigError(f"the authorisation callback gave {shown(access)}; expected one of: {known}.") from None
    if level is Access.NONE:
        raise Refusal("FORBIDDEN", "you may not use this queue; log in as somebody who may.")
    if is_of_another_site(headers):
        raise Refusal("FORBIDDEN", "a page of another site may not use this queue.")
    return Grant(level.value, _ROLES[level])


def is_of_another_site(headers: Mapping[str, str]) -> bool:
    """Whether a page of another origin has made the request, as browsers mark it. Programs send no mark.

    `Sec-Fetch-Site` is the better witness: a proxy may have changed the `Host` that an `Origin` is compared with.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("none", "same-origin")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")
