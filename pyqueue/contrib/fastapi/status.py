"""The routes by which clients see how their jobs fare, in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from pyqueue.contrib.fastapi.dependencies import JobDep, QueueDep
from pyqueue.contrib.starlette.status import (
    STATUS_ROUTE,
    EventStream,
    JobStatus,
    events_response,
    status_response,
)

_NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is no such job."}}
_ENDED: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "The client has seen the end of the job: nothing more comes."}
}


def status_router(
    prefix: str = "/jobs", *, dependencies: Sequence[Any] = (), tags: Sequence[str | Enum] = ("jobs",)
) -> APIRouter:
    """Routes for `include_router`: `{prefix}/{job_id}` and `{prefix}/{job_id}/events`.

    Whoever knows an id may ask, unless `dependencies` (`[Depends(current_user)]`) say otherwise.
    """
    router = APIRouter(prefix=prefix, dependencies=list(dependencies), tags=list(tags), responses=_NOT_FOUND)

    @router.get("/{job_id}", name=STATUS_ROUTE, response_model=JobStatus, summary="The status of a job")
    async def status(job: JobDep) -> Response:
        return status_response(job)

    @router.get(
        "/{job_id}/events",
        response_class=EventStream,
        responses=_ENDED,
        summary="The status of a job, whenever it changes",
    )
    async def events(request: Request, queue: QueueDep, job: JobDep) -> Response:
        """Server-sent events: `status` with a JobStatus, at once and at every change, until the job has ended."""
        return events_response(request, queue, job)

    return router
