"""An application of FastAPI that pushes to the queue `BENCH_QUEUE`; run by `bench.web`.

pyqueue's push is awaited. The others' block, so they stand in plain functions, which FastAPI runs on threads.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

_name = os.environ["BENCH_QUEUE"]
_queue: Any = importlib.import_module(f"bench.peer.{_name}")
_TICK_SECONDS = 0.002
_PAUSE_SECONDS = 0.004


def _lifespan() -> Any:
    if _name != "by_pyqueue":
        return None
    from pyqueue.contrib.fastapi import lifespan

    return lifespan(_queue.queue, inner=_frozen if os.environ.get("BENCH_FREEZES") else None)


@asynccontextmanager
async def _frozen(_: FastAPI) -> AsyncIterator[None]:
    """Takes what the start has made out of the sight of Python's collector, as docs/fastapi.md has it."""
    gc.collect()
    gc.freeze()
    yield


app = FastAPI(lifespan=_lifespan())


@app.get("/nothing")
async def nothing() -> dict[str, bool]:
    return {"ok": True}


@app.get("/pause")
async def pause() -> dict[str, bool]:
    """Nothing either, but it waits as long as a push about does: until then the request is kept."""
    await asyncio.sleep(_PAUSE_SECONDS)
    return {"ok": True}


def _push() -> Callable[..., Any]:
    if _name == "by_pyqueue":

        async def awaited() -> dict[str, bool]:
            await _queue.apush_noop()
            return {"ok": True}

        return awaited

    def threaded() -> dict[str, bool]:
        _queue.push_noop()
        return {"ok": True}

    return threaded


app.get("/push")(_push())


@app.get("/note")
async def note() -> dict[str, str]:
    return {"id": await _queue.note.apush()}


@app.get("/stalls")
async def stalls(seconds: float) -> list[float]:
    """How much later than asked for the loop came back, in milliseconds, again and again for so long."""
    late = []
    until = time.perf_counter() + seconds
    while (before := time.perf_counter()) < until:
        await asyncio.sleep(_TICK_SECONDS)
        late.append((time.perf_counter() - before - _TICK_SECONDS) * 1_000)
    return late
