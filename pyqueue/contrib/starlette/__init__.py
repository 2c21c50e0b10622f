"""Job queues for Starlette: `Starlette(lifespan=lifespan("jobs.db", workers=4), routes=status_routes())`.

Needs the extra `starlette`. What FastAPI has beyond it is in `pyqueue.contrib.fastapi`.
"""

from pyqueue.contrib.starlette.background import BackgroundTasks
from pyqueue.contrib.starlette.lifespan import get_queue, lifespan
from pyqueue.contrib.starlette.status import Accepted, JobStatus, accepted, status_of, status_routes

__all__ = [
    "Accepted",
    "BackgroundTasks",
    "JobStatus",
    "accepted",
    "get_queue",
    "lifespan",
    "status_of",
    "status_routes",
]
