"""Job queues for Starlette: `Starlette(lifespan=lifespan("jobs.db", workers=4), routes=status_routes())`.

Needs the extra `starlette`. What FastAPI has beyond it is in `pyqueue.contrib.fastapi`.
"""

from pyqueue.contrib.starlette.background import BackgroundTasks
from pyqueue.contrib.starlette.lifespan import get_queue, lifespan
from pyqueue.contrib.starlette.mount import mounted_api
from pyqueue.contrib.starlette.status import Accepted, JobStatus, accepted, status_of, status_routes
from pyqueue.web.access import Access

__all__ = [
    "Accepted",
    "Access",
    "BackgroundTasks",
    "JobStatus",
    "accepted",
    "get_queue",
    "lifespan",
    "mounted_api",
    "status_of",
    "status_routes",
]
