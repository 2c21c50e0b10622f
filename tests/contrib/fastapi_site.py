"""An application that tests start with uvicorn. `SITE_FILE` is its database, `SITE_RUNS` where jobs note their runs."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from fastapi import FastAPI, Request

from pyqueue import JobContext, PyQueue
from pyqueue.contrib.fastapi import Accepted, BackgroundTasks, accepted, lifespan, status_router

queue = PyQueue(os.environ["SITE_FILE"], lease_ms=2_000)
_go = threading.Event()


@queue.task(queue="notes")
async def note(context: JobContext) -> None:
    """Writes its id behind those of the others; small writes that append are atomic."""
    file = os.open(os.environ["SITE_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, context.job.id.encode() + b"\n")
    os.close(file)


@queue.task(queue="reports")
async def render(context: JobContext) -> str:
    """Comes to 10 percent, and goes on when it is told to."""
    await context.aprogress(10)
    while not _go.is_set():
        await asyncio.sleep(0.01)
    await context.aprogress(60)
    await asyncio.sleep(0.4)
    return "a report"


app = FastAPI(lifespan=lifespan(queue, workers=4))
app.include_router(status_router())


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.post("/notes", status_code=202, response_model=Accepted)
async def take_note(request: Request) -> Any:
    return accepted(request, await note.apush())


@app.post("/notes-in-background")
async def note_in_background(background: BackgroundTasks) -> None:
    background.add_task(note)


@app.post("/reports", status_code=202, response_model=Accepted)
async def order_report(request: Request) -> Any:
    return accepted(request, await render.apush())


@app.post("/go")
async def go() -> None:
    _go.set()
