"""Notes that can be heard, in Flask."""

import os
from pathlib import Path

from flask import Flask

from .database import close_database
from .pages import pages
from .tasks import queue


def create_app() -> Flask:
    """The application, with its notes and its jobs in one file."""
    app = Flask(__name__)
    # Other programs may have their jobs in the same file.
    app.config["PYQUEUE_STORAGE"] = Path(os.environ.get("PYQUEUE_STORAGE") or "notes.db").absolute()
    queue.init_app(app)
    app.register_blueprint(pages)
    app.teardown_appcontext(close_database)
    return app
