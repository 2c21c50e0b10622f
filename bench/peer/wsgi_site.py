"""An application of Flask that pushes to the queue `BENCH_QUEUE`; run by `bench.web` on forked workers of gunicorn."""

from __future__ import annotations

import importlib
import os
from typing import Any

from flask import Flask

_queue: Any = importlib.import_module(f"bench.peer.{os.environ['BENCH_QUEUE']}")
app = Flask(__name__)
if hasattr(_queue, "init_app"):
    _queue.init_app(app)


@app.get("/nothing")
def nothing() -> dict[str, bool]:
    return {"ok": True}


@app.get("/push")
def push() -> dict[str, bool]:
    _queue.push_noop()
    return {"ok": True}


@app.get("/note")
def note() -> dict[str, str]:
    return {"id": _queue.note.push()}
