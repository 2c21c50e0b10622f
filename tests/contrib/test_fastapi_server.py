"""FastAPI as it is served: uvicorn with one process and with four, under load, reloaded, told to end, killed."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from tests.contrib.serving import PORT, ServingContract, Site, running
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups")

SITE = "tests.contrib.fastapi_site"


def uvicorn(*options: str, module: str = SITE) -> tuple[str, ...]:
    return ("-m", "uvicorn", f"{module}:app", "--port", PORT, *options)


class TestServing(ServingContract):
    def commands(self) -> list[Sequence[str]]:
        return [uvicorn("--workers", "4", "--log-level", "warning")]


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


def test_a_client_sees_the_progress_of_its_job_as_it_happens(tmp_path: Path) -> None:
    with running(tmp_path, uvicorn()) as site:
        accepted = site.send("POST", "/reports")
        with following(site, accepted["status_url"] + "/events") as statuses:
            assert next(status for status in statuses if status["progress"] == 10)["state"] == "active"
            site.send("POST", "/go")
            assert next(statuses)["progress"] == 60
            last = list(statuses)[-1]

        assert (last["state"], last["result"]) == ("completed", "a report")


def test_a_server_that_is_told_to_end_ends_its_streams_and_finishes_what_runs(tmp_path: Path) -> None:
    with running(tmp_path, uvicorn()) as site:
        accepted = site.send("POST", "/reports")
        with following(site, accepted["status_url"] + "/events") as statuses:
            next(status for status in statuses if status["progress"] == 10)
            site.send("POST", "/go")

            # uvicorn waits for its connections without a limit: only the end of the stream lets it go on.
            site.end()

    with PyQueue(site.file) as queue:
        assert queue.get_job(accepted["id"]).result == "a report"


def _pid_of(site: Site) -> object:
    """Of the process that serves; None while there is none, or it ends in the middle of the answer."""
    try:
        return site.send("GET", "/pid") if site.is_up() else None
    except OSError:
        return None


def test_a_reload_leaves_no_process_behind(tmp_path: Path) -> None:
    module = tmp_path / "site_module.py"
    module.write_text("from tests.contrib.fastapi_site import app\n")

    with running(tmp_path, uvicorn("--reload", module="site_module")) as site:
        before = site.send("GET", "/pid")
        module.write_text("from tests.contrib.fastapi_site import app as app\n")
        eventually(lambda: _pid_of(site) not in (None, before), seconds=30, what="another process")
        site.send("POST", "/notes")
        eventually(lambda: site.what_ran().total() == 1)
        site.end()

        eventually(site.is_gone, what="the end of all its processes")
