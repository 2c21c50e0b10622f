"""The demonstration shows what it says, and ends well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_demo_loses_nothing() -> None:
    demo = Path(__file__).parent.parent / "demo" / "crash_demo.py"

    done = subprocess.run([sys.executable, str(demo)], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9" in done.stdout
    assert "300 of 300 jobs completed" in done.stdout
    assert "job stalled (no heartbeat)" in done.stdout
