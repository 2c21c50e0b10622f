"""What comes in and what goes out, whatever framework carries it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from pyqueue.core.webhook import QUEUE as DELIVERIES
from pyqueue.web.twins import Call

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")

JSON: Final = ("content-type", "application/json")
# Replies hold the state of this moment, and one of a pull must never be given out twice.
NO_STORE: Final = ("cache-control", "no-store")


class Role(StrEnum):
    """What a token may do. `admin` may do everything."""

    READ = "read"
    PUSH = "push"
    WORK = "work"
    ADMIN = "admin"


class Grant(Struct, frozen=True):
    """Who asks, and what that one may do: `roles`, on the named `queues` only, or on all (None)."""

    name: str
    roles: frozenset[Role]
    queues: frozenset[str] | None = None

    def allows(self, role: Role) -> bool:
        return role in self.roles or Role.ADMIN in self.roles

    @property
    def reaches_all(self) -> bool:
        """Whether no queue is closed to it."""
        return self.queues is None and Role.ADMIN in self.roles

    def reaches(self, queue: str) -> bool:
        """Whether it may be about the queue; what a server signs and sends is for `admin` alone."""
        is_in_scope = self.queues is None or queue in self.queues
        return is_in_scope and (queue != DELIVERIES or self.allows(Role.ADMIN))


# For a server without tokens, and for those who have checked by other means.
EVERYTHING: Final = Grant("anyone", frozenset(Role))


class Request(Struct, frozen=True, kw_only=True):
    """A request to the API. `path` begins behind the place where the API is mounted, still percent-encoded."""

    method: str
    path: str
    query: str = ""
    content_type: str = ""
    body: bytes = b""
    grant: Grant | None = None  # None: nobody has said who asks.


class Reply(Struct, frozen=True):
    """An answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (JSON, NO_STORE)


class Given(Struct, Generic[Q, B], frozen=True):
    """A request as a handler sees it: the segments of the path decoded, query and body parsed and checked."""

    path: tuple[str, ...]
    query: Q
    body: B


class About(Struct, frozen=True, kw_only=True):
    """What a request or command names, so that `reach` can tell whether the one who asks reaches all of it.

    `queue`, `jobs` by their ids, a `schedule` by its name, and the `options` of new jobs, which may name further
    queues (follow-ups) and jobs (parents). What names none of these is for those who reach every queue.
    `one_by_one`: each of the jobs is answered by itself, so one out of reach leaves the others alone.
    """

    queue: str | None = None
    jobs: tuple[str, ...] = ()
    schedule: str | None = None
    options: Sequence[Mapping[str, Any]] = ()
    one_by_one: bool = False


class Plan(About, Generic[R], frozen=True):
    """What a handler makes of a request: what to ask of the queue, and how to put the answer.

    `waits`: the answer may take its time, so whoever carries it should notice when nobody waits for it any more;
    `nothing`: the result if the server is to end meanwhile.
    `within`: takes from a result over all queues what is in queues that the one who asks does not reach.
    `without`: the plan of a request on jobs `one_by_one` in which some of them are answered as unknown.
    """

    call: Call[R]
    shape: Callable[[R], bytes]
    waits: bool = False
    nothing: Any = ()
    within: Callable[[R, Callable[[str], bool]], R] | None = None
    without: Callable[[frozenset[str]], Plan[R]] | None = None
