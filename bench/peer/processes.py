"""The processes of a comparison: drivers and workers of all queues, run by a Python that has these installed."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
STEP_SECONDS = 40.0


def tell(driver: subprocess.Popen[str], command: str) -> None:
    """Gives a driver a command."""
    assert driver.stdin is not None
    driver.stdin.write(command + "\n")
    driver.stdin.flush()


def answer(driver: subprocess.Popen[str]) -> Any:
    """What the driver says next.

    Raises:
        TimeoutError: nothing, for too long.
    """
    assert driver.stdout is not None
    ready, _, _ = select.select([driver.stdout], [], [], STEP_SECONDS)
    if not ready:
        raise TimeoutError(f"no answer within {STEP_SECONDS:.0f} s")
    return json.loads(driver.stdout.readline())


@contextmanager
def process(
    command: list[str], environment: dict[str, str], *, keeps_output: bool = True, ends_in_peace: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """A process with all its children; gone afterwards, at once unless it `ends_in_peace`."""
    started = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if keeps_output else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL) if ends_in_peace else (signal.SIGKILL,):
            try:
                os.killpg(started.pid, number)
            except ProcessLookupError:
                break
            try:
                started.wait(5)
            except subprocess.TimeoutExpired:
                continue
        started.wait()
        for stream in (started.stdin, started.stdout):
            if stream is not None:
                stream.close()


def environment_of(**settings: str) -> dict[str, str]:
    """The variables of a process of theirs: ours, and these."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


@contextmanager
def redis(place: Path) -> Iterator[str]:
    """A Redis server of our own, as it comes; gives its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(place)]
    with process(command, dict(os.environ), keeps_output=False):
        wait_for_port(port)
        yield f"redis://127.0.0.1:{port}/0"


def free_port() -> int:
    """A port of this machine that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10) -> None:
    """Returns when something listens on the port. Raises OSError: nothing did in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def family_of(pid: int) -> set[int]:
    """A process and all below it."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # It has ended meanwhile.
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def memory_mb(pid: int) -> float:
    """The resident set of a process and all below it."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in family_of(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def processor_seconds(pid: int) -> float:
    """What a process has computed until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def python_of_peers(which: str) -> str:
    """The interpreter of an environment that has all of them, and nothing else; made when it is first needed.

    pyqueue's own code comes from this checkout. In that of `peers` it has no psycopg, as for anyone on SQLite.
    """
    variable = f"PYQUEUE_BENCH_{which.upper()}"
    if variable in os.environ:
        return os.environ[variable]
    place = ROOT / ".peers" / which
    python = place / "bin" / "python"
    if not (place / "installed").exists():
        venv.create(place, with_pip=True, clear=True)
        requirements = str(Path(__file__).parent / f"requirements-{which}.txt")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-e", str(ROOT), "-r", requirements], check=True, timeout=200)
        (place / "installed").touch()
    return str(python)
