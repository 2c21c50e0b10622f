"""Programs that serve pages, run for a test as people run them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], url: str, log: Path) -> Iterator[None]:
    """The command serves the URL within the block. Then it is ended as by Ctrl-C, and leaves nothing behind."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually(lambda: _answers(url) or process.poll() is not None, seconds=60, what=url)
        assert process.poll() is None, log.read_text()
        yield
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)
        assert not _answers(url), "the server has outlived its command"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True
