"""The API: from a request to a reply, for callers that wait and for event loops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from pyqueue._version import VERSION
from pyqueue.core.engine.looking import Places
from pyqueue.core.errors import PyQueueError
from pyqueue.core.queue import PyQueue
from pyqueue.web import docs_page, openapi, reach, twins
from pyqueue.web.errors import Refusal, envelope, reply_to
from pyqueue.web.flow_routes import FLOW_ROUTES
from pyqueue.web.job_routes import JOB_ROUTES
from pyqueue.web.limit_routes import LIMIT_ROUTES
from pyqueue.web.parse import parse_body, parse_query
from pyqueue.web.queue_routes import QUEUE_ROUTES
from pyqueue.web.request import Given, Grant, Plan, Reply, Request
from pyqueue.web.route import Route, Table
from pyqueue.web.schedule_routes import SCHEDULE_ROUTES
from pyqueue.web.twins import Call
from pyqueue.web.webhook_routes import WEBHOOK_ROUTES

log = logging.getLogger(__name__)

ROUTES: Final[tuple[Route, ...]] = (
    *QUEUE_ROUTES, *JOB_ROUTES, *SCHEDULE_ROUTES, *FLOW_ROUTES, *LIMIT_ROUTES, *WEBHOOK_ROUTES,
)  # fmt: skip
TABLE: Final = Table(ROUTES)


class Ready(Struct, frozen=True):
    """A request that was checked: what is to be done for whom, and the status if it succeeds."""

    plan: Plan[Any]
    status: int
    grant: Grant

    @property
    def look_up(self) -> Call[Places] | None:
        """What must be asked first, to know which queues this is about."""
        if not reach.looks_up(self.grant, self.plan):
            return None
        return twins.PLACES_OF(reach.jobs_of(self.plan), self.plan.schedule)

    def within_reach(self, places: Places) -> Ready:
        """The same, without the jobs that the one who asks is not to know of.

        Raises:
            JobNotFound, ValidationError, Refusal: it is about what is out of reach.
        """
        unknown = reach.require_places(self.grant, self.plan, places)
        if not unknown or self.plan.without is None:
            return self
        return structs.replace(self, plan=self.plan.without(unknown))

    def reply(self, result: Any) -> Reply:
        """The answer, with nothing in it that is out of reach."""
        if self.plan.within is not None and not self.grant.reaches_all:
            result = self.plan.within(result, self.grant.reaches)
        return Reply(self.status, self.plan.shape(result))


class Api:
    """Serves the table of routes on a queue. The paths begin with what stands behind `/api/v1`.

    `has_webhooks`: somebody delivers them, so they can be registered. `base`: where the paths begin, for the
    OpenAPI document.
    """

    def __init__(self, queue: PyQueue, *, has_webhooks: bool = False, base: str = openapi.BASE) -> None:
        self._queue = queue
        self._has_webhooks = has_webhooks
        self._began = time.monotonic()
        self._pages: dict[str, Callable[[], Reply]] = {
            "/health": self._health,
            "/openapi.json": lambda: openapi.page(base),
            "/docs": docs_page.page,
        }

    def is_public(self, path: str) -> bool:
        """Whether anyone may look at the path."""
        return path in self._pages

    def handle(self, request: Request) -> Reply:
        """Answers a request on this thread."""
        try:
            ready = self.plan(request)
            return ready if isinstance(ready, Reply) else self.carry_out(ready)
        except (Refusal, PyQueueError) as error:
            return reply_to(error)
        except Exception:  # The last resort: one request's accident is not the next one's.
            return _accident(request)

    def carry_out(self, ready: Ready) -> Reply:
        """Does what was planned, and puts the answer."""
        if (look_up := ready.look_up) is not None:
            ready = ready.within_reach(look_up.run(self._queue))
        return ready.reply(ready.plan.call.run(self._queue))

    async def ahandle(self, request: Request) -> Reply:
        """`handle` for event loops."""
        try:
            ready = self.plan(request)
            return ready if isinstance(ready, Reply) else await self.acarry_out(ready)
        except (Refusal, PyQueueError) as error:
            return reply_to(error)
        except Exception:  # As in `handle`.
            return _accident(request)

    async def acarry_out(self, ready: Ready) -> Reply:
        """`carry_out` for event loops."""
        if (look_up := ready.look_up) is not None:
            ready = ready.within_reach(await look_up.arun(self._queue))
        return ready.reply(await ready.plan.call.arun(self._queue))

    def plan(self, request: Request) -> Ready | Reply:
        """Checks a request and says what is to be done; or answers what needs nothing done.

        Raises:
            Refusal, ValidationError.
        """
        page = self._pages.get(request.path)
        if page is not None and request.method in ("GET", "HEAD"):
            return page()
        if page is not None:
            raise Refusal("METHOD_NOT_ALLOWED", f"{request.path} is read by GET.", headers=(("allow", "GET, HEAD"),))
        if request.grant is None:
            raise Refusal("UNAUTHORIZED", "Missing Authorization header; expected 'Authorization: Bearer <token>'.")
        found = TABLE.find(request.method, request.path)
        if not request.grant.allows(found.route.role):
            raise Refusal("FORBIDDEN", f"token {request.grant.name!r} lacks the role {found.route.role.value!r}.")
        if found.route in WEBHOOK_ROUTES and not self._has_webhooks:
            raise Refusal("WEBHOOKS_DISABLED", "webhooks are off; set enabled under [webhooks] of the server.")
        query = parse_query(found.route, request.query)
        planned = found.route.handler(Given(found.segments, query, parse_body(found.route, request)))
        if isinstance(planned, Reply):
            return planned
        reach.require(request.grant, planned)
        return Ready(planned, found.route.status, request.grant)

    def _health(self) -> Reply:
        uptime = int(time.monotonic() - self._began)
        state = {"ok": True, "status": "healthy", "version": VERSION, "uptime_seconds": uptime}
        return Reply(200, msgspec.json.encode(state))


def _accident(request: Request) -> Reply:
    log.exception("a request could not be answered", extra={"method": request.method, "path": request.path})
    return envelope(500, "INTERNAL_ERROR", "the request could not be answered; see the log of the server.")
