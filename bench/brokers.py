"""Other brokers, driven by their own clients in a process of an environment of their own (`.peers/brokers`)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.tcp_clients import JOBS, Rates

ROOT = Path(__file__).parent.parent
_PLACE = ROOT / ".peers" / "brokers"
_SCRIPTS = Path(__file__).parent / "broker"
_RABBITMQ_PORT, _REDIS_PORT = 5672, 6379


def available() -> Iterator[tuple[str, Callable[[], Rates]]]:
    """The brokers that run on this machine; the others are named on stderr."""
    found = {
        "RabbitMQ (pika, persistent)": (_RABBITMQ_PORT, _python("by_rabbitmq.py")),
        "Redis lists": (_REDIS_PORT, _python("by_redis.py")),
        "Celery (Redis)": (_REDIS_PORT, _python("by_celery.py")),
        "BullMQ (Redis)": (_REDIS_PORT, _node("by_bullmq.mjs")),
    }
    for name, (port, command) in found.items():
        if command and _listens(port):
            yield name, partial(_measure, command)
        else:
            print(f"no {name} on this machine: left out", file=sys.stderr)


def _measure(command: list[str]) -> Rates:
    done = subprocess.run([*command, str(JOBS)], check=True, capture_output=True, text=True, cwd=_PLACE, timeout=300)
    return Rates(*json.loads(done.stdout))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _python(script: str) -> list[str]:
    python = _PLACE / "bin" / "python"
    if not (_PLACE / "pip-done").exists():
        venv.create(_PLACE, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pika", "celery[redis]"]
        subprocess.run(pip, check=True, timeout=200)
        (_PLACE / "pip-done").touch()
    return [str(python), str(_SCRIPTS / script)]


def _node(script: str) -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return []
    if not (_PLACE / "node_modules" / "ioredis").exists():
        subprocess.run(
            [npm, "install", "--silent", "--prefix", str(_PLACE), "bullmq", "ioredis"], check=True, timeout=200
        )
    # A module is looked for beside the script that asks for it.
    copy = _PLACE / script
    copy.write_text((_SCRIPTS / script).read_text())
    os.utime(copy)
    return [node, str(copy)]
