"""An application that tests start with gunicorn. `SITE_FILE` is its database, `SITE_RUNS` where its jobs note runs."""

from __future__ import annotations

import os

from flask import Flask, Response, jsonify

from pyqueue import JobContext
from pyqueue.contrib.flask import FlaskQueue

queue = FlaskQueue()
app = Flask(__name__)
app.config["PYQUEUE_STORAGE"] = os.environ["SITE_FILE"]
queue.init_app(app)


@queue.task(queue="notes")
def note(context: JobContext) -> None:
    """Writes its id behind those of the others; small writes that append are atomic."""
    file = os.open(os.environ["SITE_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, context.job.id.encode() + b"\n")
    os.close(file)


@app.get("/pid")
def pid() -> Response:
    return jsonify(os.getpid())


@app.post("/notes")
def take_note() -> tuple[dict[str, str], int]:
    return {"id": note.push()}, 202
