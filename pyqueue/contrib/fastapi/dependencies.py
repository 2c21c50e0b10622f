"""What the functions of an application may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends

from pyqueue.contrib.starlette import background
from pyqueue.contrib.starlette.lifespan import get_queue
from pyqueue.contrib.starlette.status import job_of
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue

QueueDep = Annotated[PyQueue, Depends(get_queue)]


async def get_job(job_id: str, queue: QueueDep) -> Job:
    """The job that `{job_id}` in the path names; 404 if there is none."""
    return await job_of(queue, job_id)


JobDep = Annotated[Job, Depends(get_job)]


async def get_background(queue: QueueDep) -> AsyncIterator[background.BackgroundTasks]:
    """Takes tasks while the function of a path runs; when it has returned, and before the response, they are stored."""
    async with background.BackgroundTasks(queue) as tasks:
        yield tasks


# "function": the end of it comes before the response is sent, so who gets one knows that the jobs are stored.
BackgroundTasks = Annotated[background.BackgroundTasks, Depends(get_background, scope="function")]
