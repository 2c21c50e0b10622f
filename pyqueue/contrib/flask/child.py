"""What a child process of `flask pyqueue worker --mode process` runs: the application, made as `flask` makes it."""

from __future__ import annotations

import os
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "queue":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flask.cli import ScriptInfo

    return ScriptInfo(app_import_path=os.environ.get("FLASK_APP")).load_app().extensions["pyqueue"]
