"""Job queues for FastAPI: `FastAPI(lifespan=lifespan("jobs.db", workers=4))`, and `queue: QueueDep` where it is needed.

Needs the extra `fastapi`.
"""

from pyqueue.contrib.fastapi.dependencies import BackgroundTasks, JobDep, QueueDep, get_background, get_job
from pyqueue.contrib.fastapi.status import status_router
from pyqueue.contrib.starlette import Accepted, Access, JobStatus, accepted, get_queue, lifespan, mounted_api, status_of

__all__ = [
    "Accepted",
    "Access",
    "BackgroundTasks",
    "JobDep",
    "JobStatus",
    "QueueDep",
    "accepted",
    "get_background",
    "get_job",
    "get_queue",
    "lifespan",
    "mounted_api",
    "status_of",
    "status_router",
]
