"""What an adapter must keep under a real server with four processes on one file, said once: nothing accepted is lost.

A site answers `GET /pid` with the process that serves, and `POST /notes` with 202 and {"id": …} when the job `note` is
stored, which writes its id into the file `SITE_RUNS`. Its queue is the file `SITE_FILE`.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyqueue import JobState, PyQueue
from tests.private_server import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
CLIENTS = 16
PORT = "{port}"


class Site:
    """A running server, and what runs beside it, each with all its processes in a group of its own."""

    def __init__(self, folder: Path, *commands: Sequence[str]) -> None:
        """`commands`: arguments of Python; the first starts the server, at the port `{port}`."""
        self.file, self.runs, self.port = folder / "jobs.db", folder / "runs", free_port()
        self.runs.touch()
        environment = os.environ | {"SITE_FILE": str(self.file), "SITE_RUNS": str(self.runs), "PYTHONPATH": str(ROOT)}
        self._log_path = folder / "log"
        with self._log_path.open("a") as log:
            self._processes = [
                subprocess.Popen(
                    [sys.executable, *(part.replace(PORT, str(self.port)) for part in command)],
                    cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
                )
                for command in commands
            ]  # fmt: skip
        eventually(self.is_up, seconds=60, what="the server")

    def is_up(self) -> bool:
        try:
            return bool(self.send("GET", "/pid"))
        except OSError:
            return False

    def is_gone(self) -> bool:
        try:
            os.killpg(self._processes[0].pid, 0)
        except ProcessLookupError:
            return True
        return False

    def said(self) -> str:
        return self._log_path.read_text()

    def send(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def end(self) -> int:
        """Tells the server to end, as a supervisor would, and waits; gives its exit code."""
        self._processes[0].send_signal(signal.SIGTERM)
        return self._processes[0].wait(30)

    def kill(self) -> None:
        """Ends all processes at once."""
        for process in self._processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(30)

    def what_ran(self) -> Counter[str]:
        return Counter(self.runs.read_text().split())


@contextmanager
def running(folder: Path, *commands: Sequence[str]) -> Iterator[Site]:
    site = Site(folder, *commands)
    try:
        yield site
    finally:
        site.kill()


def push_without_end(site: Site, accepted: list[str], is_over: threading.Event, troubles: list[object]) -> None:
    """One client; notes what was accepted before it asks for more, and connects anew after a trouble."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    while not is_over.is_set():
        try:
            connection.request("POST", "/notes")
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            troubles.append(error)
            connection.close()
            is_over.wait(0.01)
            continue
        if reply.status == 202:
            accepted.append(json.loads(body)["id"])
        else:
            troubles.append((reply.status, body))
    connection.close()


@contextmanager
def load(site: Site) -> Iterator[tuple[list[str], list[object]]]:
    """Clients that push as fast as they can for as long as the block runs: the ids accepted, and what went wrong."""
    accepted: list[str] = []
    troubles: list[object] = []
    is_over = threading.Event()
    arguments = (site, accepted, is_over, troubles)
    clients = [threading.Thread(target=push_without_end, args=arguments) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield accepted, troubles
    finally:
        is_over.set()
        for client in clients:
            client.join(60)


class ServingContract(ABC):
    """The tests. A class below it says how its site is served, by four processes."""

    @abstractmethod
    def commands(self) -> list[Sequence[str]]:
        """What is to be started: the server, and a worker where the server has none."""

    def test_four_processes_accept_and_run_every_push_once(self, tmp_path: Path) -> None:
        with running(tmp_path, *self.commands()) as site:
            with load(site) as (accepted, troubles):
                eventually(lambda: len(accepted) >= 1_500 or troubles, seconds=60)
            eventually(lambda: site.what_ran().total() >= len(accepted), seconds=60)
            site.end()

            with PyQueue(site.file) as queue:
                eventually(lambda: queue.stats("notes").completed == len(accepted))
                counts = queue.stats("notes")
        assert troubles == []
        assert site.what_ran() == Counter(accepted)
        assert (counts.completed, counts.total) == (len(accepted), len(accepted))
        assert "locked" not in site.said()

    def test_nothing_that_was_accepted_is_lost_when_a_process_is_killed(self, tmp_path: Path) -> None:
        with running(tmp_path, *self.commands()) as site:
            with load(site) as (accepted, _):
                for _ in range(3):
                    before = len(accepted)
                    eventually(lambda: len(accepted) >= before + 150, seconds=60)  # noqa: B023  # it is called here
                    os.kill(site.send("GET", "/pid"), signal.SIGKILL)

            _require_all_run(site, accepted)

    def test_nothing_that_was_accepted_is_lost_when_all_processes_are_killed(self, tmp_path: Path) -> None:
        with running(tmp_path, *self.commands()) as site, load(site) as (accepted, _):
            eventually(lambda: len(accepted) >= 500, seconds=60)
            site.kill()

        with running(tmp_path, *self.commands()) as after:
            _require_all_run(after, accepted)


def _require_all_run(site: Site, accepted: Sequence[str]) -> None:
    """What ran and was not acknowledged yet runs again, when its lease and the wait for another attempt are over."""
    with PyQueue(site.file) as queue:
        eventually(lambda: site.what_ran().keys() >= set(accepted), seconds=60, what="a run of each")
        eventually(lambda: queue.stats("notes").completed == queue.stats("notes").total, seconds=60)
        assert {queue.get_job(job_id).state for job_id in accepted} == {JobState.COMPLETED}
