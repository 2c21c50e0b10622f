"""Commands as a reader of our pages types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(command: str, folder: Path) -> str:
    """What the command prints, with `pyqueue` and `python` of this environment; it must end well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
