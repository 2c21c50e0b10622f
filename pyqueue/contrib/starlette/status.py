"""How a job fares, for those who wait for it: `202 Accepted`, a status, and a stream of its changes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import NoMatchFound, Route

from pyqueue.contrib.starlette.lifespan import Ending, ending_of, get_queue
from pyqueue.core.errors import ConfigError, JobNotFound, ValidationError
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.states import JobState
from pyqueue.web import sse

# The name of the route of a job's status, by which `accepted` finds its address.
STATUS_ROUTE: Final = "pyqueue_job_status"
# The end of a job is told at once; its start and its progress are looked for so often.
_LOOK_MS: Final = 250
_END: Final = "end"
_NO_STORE: Final = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What may be told of a job to whoever waits for it. Its arguments and errors are not among it."""

    id: str
    queue: str
    name: str
    state: JobState
    progress: int | None
    result: Any
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A job was stored; its status is at `status_url`."""

    id: str
    status_url: str


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


def accepted(connection: HTTPConnection, job_id: str) -> Response:
    """`202 Accepted` for a job that was pushed, with the address of its status as `Location` and in the body.

    Raises:
        ConfigError: the application has no routes for the status of jobs.
    """
    try:
        address = connection.url_for(STATUS_ROUTE, job_id=job_id).path
    except NoMatchFound as error:
        raise ConfigError(
            "accepted() found no route for the status of a job; add app.include_router(status_router()) with FastAPI, "
            "or status_routes() to the routes of Starlette."
        ) from error
    body = msgspec.json.encode(Accepted(id=str(job_id), status_url=address))
    return Response(body, 202, {"location": address, **_NO_STORE}, "application/json")


def status_of(job: Job) -> JobStatus:
    """The part of a job that may be told."""
    return JobStatus(
        id=job.id,
        queue=job.queue,
        name=job.name,
        state=job.state,
        progress=job.progress,
        result=job.result,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
    )


def status_routes(prefix: str = "/jobs") -> list[Route]:
    """Routes for an application of Starlette: `{prefix}/{job_id}` and `{prefix}/{job_id}/events`.

    Whoever knows an id may ask; put what checks the caller around them (`Mount(…, middleware=…)`).
    """

    async def status(request: Request) -> Response:
        return status_response(await job_of(await get_queue(request), request.path_params["job_id"]))

    async def events(request: Request) -> Response:
        queue = await get_queue(request)
        return events_response(request, queue, await job_of(queue, request.path_params["job_id"]))

    return [
        Route(f"{prefix}/{{job_id}}", status, name=STATUS_ROUTE),
        Route(f"{prefix}/{{job_id}}/events", events),
    ]


async def job_of(queue: PyQueue, job_id: str) -> Job:
    """The job of a request.

    Raises:
        HTTPException: 404, there is none of this id.
    """
    try:
        return await queue.aget_job(job_id)
    except (JobNotFound, ValidationError):
        raise HTTPException(404, "there is no such job.") from None


def status_response(job: Job) -> Response:
    """The status of a job as JSON."""
    return Response(msgspec.json.encode(status_of(job)), 200, _NO_STORE, "application/json")


def events_response(connection: HTTPConnection, queue: PyQueue, job: Job) -> Response:
    """The status of a job, and again whenever its state, attempt or progress has changed, until it has ended.

    Each is an event `status`; a job that was removed meanwhile is `gone`. A browser that comes back after the end is
    told to stay away.
    """
    if connection.headers.get("last-event-id") == _END:
        return Response(status_code=204)
    return EventStream(
        _events(queue, job, ending_of(connection.scope)), headers={**_NO_STORE, "x-accel-buffering": "no"}
    )


async def _events(queue: PyQueue, job: Job, ending: Ending) -> AsyncIterator[bytes]:
    yield _event(job)
    spoken = time.monotonic()
    while not job.state.is_terminal and not ending.is_over:
        try:
            found = await queue.aget_job(job, wait_ms=_LOOK_MS)
        except JobNotFound:
            yield sse.event("gone", b"{}", last_id=_END)
            return
        if _what_shows(found) != _what_shows(job):
            yield _event(found)
            spoken = time.monotonic()
        elif (time.monotonic() - spoken) * 1_000 > sse.SILENCE_MS:
            yield sse.comment("still here")
            spoken = time.monotonic()
        job = found


def _event(job: Job) -> bytes:
    return sse.event("status", msgspec.json.encode(status_of(job)), last_id=_END if job.state.is_terminal else None)


def _what_shows(job: Job) -> tuple[Any, ...]:
    return job.state, job.attempt, job.progress
