"""FastAPI as it is served: uvicorn with one process and with four, under load, reloaded, told to end, killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyqueue import JobState, PyQueue
from tests.private_server import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups")

ROOT = Path(__file__).parent.parent.parent
CLIENTS = 16


class Site:
    """A running server, with all its processes in a group of their own."""

    def __init__(self, folder: Path, *options: str, module: str = "tests.contrib.fastapi_site") -> None:
        self.file, self.runs, self.port = folder / "jobs.db", folder / "runs", free_port()
        self.runs.touch()
        environment = os.environ | {"SITE_FILE": str(self.file), "SITE_RUNS": str(self.runs), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(self.port), *options]
        self.log = (folder / "log").open("a")
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self.log, stderr=self.log, start_new_session=True
        )
        eventually(self.is_up, seconds=30, what="the server")

    def is_up(self) -> bool:
        try:
            return bool(self.send("GET", "/pid"))
        except OSError:
            return False

    def is_gone(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def send(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def end(self) -> int:
        """Tells it to end, as a supervisor would, and waits; gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """Ends all its processes at once."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(30)
        self.log.close()

    def what_ran(self) -> Counter[str]:
        return Counter(self.runs.read_text().split())


@contextmanager
def serving(folder: Path, *options: str, module: str = "tests.contrib.fastapi_site") -> Iterator[Site]:
    site = Site(folder, *options, module=module)
    try:
        yield site
    finally:
        site.kill()


@contextmanager
def following(site: Site, path: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The statuses that the stream of a job sends."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield (json.loads(line.removeprefix(b"data: ")) for line in reply if line.startswith(b"data: "))
    finally:
        connection.close()


def push_without_end(site: Site, accepted: list[str], is_over: threading.Event, troubles: list[object]) -> None:
    """One client on one connection; notes what was accepted before it asks for more."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    while not is_over.is_set():
        try:
            connection.request("POST", "/notes")
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            troubles.append(error)
            return
        if reply.status == 202:
            accepted.append(json.loads(body)["id"])
        else:
            troubles.append((reply.status, body))


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


def test_a_client_sees_the_progress_of_its_job_as_it_happens(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        accepted = site.send("POST", "/reports")
        with following(site, accepted["status_url"] + "/events") as statuses:
            assert next(status for status in statuses if status["progress"] == 10)["state"] == "active"
            site.send("POST", "/go")
            assert next(statuses)["progress"] == 60
            last = list(statuses)[-1]

        assert (last["state"], last["result"]) == ("completed", "a report")


def test_a_server_that_is_told_to_end_ends_its_streams_and_finishes_what_runs(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        accepted = site.send("POST", "/reports")
        with following(site, accepted["status_url"] + "/events") as statuses:
            next(status for status in statuses if status["progress"] == 10)
            site.send("POST", "/go")

            # uvicorn waits for its connections without a limit: only the end of the stream lets it go on.
            site.end()

    with PyQueue(site.file) as queue:
        assert queue.get_job(accepted["id"]).result == "a report"


def test_four_processes_accept_and_run_every_push_once(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "4", "--log-level", "warning") as site:
        with load(site) as (accepted, troubles):
            eventually(lambda: len(accepted) >= 1_500 or troubles, seconds=60)
        eventually(lambda: site.what_ran().total() >= len(accepted), seconds=60)
        site.end()

    with PyQueue(site.file) as queue:
        counts = queue.stats("notes")
    assert troubles == []
    assert site.what_ran() == Counter(accepted)
    assert (counts.completed, counts.total) == (len(accepted), len(accepted))
    assert "locked" not in (tmp_path / "log").read_text()


def test_nothing_that_was_accepted_is_lost_when_the_whole_server_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "4", "--log-level", "warning") as site, load(site) as (accepted, _):
        eventually(lambda: len(accepted) >= 500, seconds=60)
        site.kill()

    with serving(tmp_path, "--log-level", "warning") as after, PyQueue(after.file) as queue:
        eventually(lambda: after.what_ran().keys() >= set(accepted), seconds=60)
        # What ran and was not acknowledged yet runs again, when its lease and the wait for another attempt are over.
        eventually(lambda: queue.stats("notes").completed == queue.stats("notes").total, seconds=60)
        assert {queue.get_job(job_id).state for job_id in accepted} == {JobState.COMPLETED}


def test_a_reload_leaves_no_process_behind(tmp_path: Path) -> None:
    module = tmp_path / "site_module.py"
    module.write_text("from tests.contrib.fastapi_site import app\n")

    with serving(tmp_path, "--reload", module="site_module") as site:
        before = site.send("GET", "/pid")
        module.write_text("from tests.contrib.fastapi_site import app as app\n")
        eventually(lambda: site.is_up() and site.send("GET", "/pid") != before, seconds=30, what="another process")
        site.send("POST", "/notes")
        eventually(lambda: site.what_ran().total() == 1)
        site.end()

        eventually(site.is_gone, what="the end of all its processes")
