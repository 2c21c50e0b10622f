"""Flask: workers inside of the processes of real servers, which fork and reload."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from tests.contrib.serving import PORT, ServingContract
from tests.waiting import eventually

pytest.importorskip("flask")

# It uses its queue before the server forks, as preloaded applications may.
APP = """
import os
from flask import Flask
from pyqueue.contrib.flask import FlaskQueue

queue = FlaskQueue()

@queue.task
def stamp(number: int) -> int:
    with open("stamps", "a") as file:
        file.write(f"{number}\\n")
    return os.getpid()

def create_app():
    app = Flask("stamps", instance_path=os.getcwd())
    app.config.from_prefixed_env()
    queue.init_app(app)
    queue.of(app).stats("default")

    @app.post("/stamps/<int:number>")
    def push(number):
        return {"job": stamp.push(number), "pid": os.getpid()}

    return app
"""


class TestServing(ServingContract):
    def commands(self) -> list[Sequence[str]]:
        pytest.importorskip("gunicorn")
        site = "tests.contrib.flask_site:app"
        gunicorn = ("-m", "gunicorn", site, "--workers", "4", "--threads", "4", "--bind", f"127.0.0.1:{PORT}")
        worker = ("-m", "flask", "--app", site, "pyqueue", "worker", "--concurrency", "4", "--lease-ms", "2000")
        return [gunicorn, worker]


ENVIRONMENT = {**os.environ, "FLASK_PYQUEUE_STORAGE": "jobs.db", "FLASK_PYQUEUE_EMBEDDED_WORKERS": "1"}


class Running:
    """A program in a process group of its own, in a folder with the application."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self._said, self._port = folder / "said", 0
        with self._said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=folder, env=ENVIRONMENT, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return self._said.read_text()

    def listen(self, says: str) -> None:
        """Waits for a web server to say where it is."""
        found = eventually(lambda: re.search(rf"{says} http://127\.0\.0\.1:(\d+)", self.said()), seconds=30, what=says)
        assert found is not None
        self._port = int(found[1])

    def push(self, number: int) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", f"/stamps/{number}")
            reply = connection.getresponse()
            content = reply.read()
            assert reply.status == 200, self.said()
            return json.loads(content)
        finally:
            connection.close()

    def end(self, number: signal.Signals) -> int:
        os.killpg(self.process.pid, number)
        return self.process.wait(30)


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Running]:
    (folder / "app.py").write_text(APP)
    program = Running(folder, arguments)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait()


def pids_at_work(queue: PyQueue) -> list[int]:
    return sorted(worker.pid for worker in queue.workers())


def test_four_preloaded_processes_of_gunicorn_push_and_work_on_one_file(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    gunicorn = ("gunicorn", "--preload", "--workers", "4", "--bind", "127.0.0.1:0", "app:create_app()")
    with running(tmp_path, *gunicorn) as server, PyQueue(tmp_path / "jobs.db") as queue:
        server.listen("Listening at:")
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(server.push, range(200)))
        serving_pids = sorted({answer["pid"] for answer in answers})
        eventually(lambda: queue.stats("default").completed == 200, seconds=60, what="200 stamps")
        working_pids = pids_at_work(queue)
        stamps = Counter((tmp_path / "stamps").read_text().split())

        assert server.end(signal.SIGTERM) == 0, server.said()
        assert pids_at_work(queue) == []

    assert stamps == Counter(str(number) for number in range(200))
    assert working_pids == serving_pids and server.process.pid not in working_pids
    assert "database is locked" not in server.said() and "Traceback" not in server.said()


def test_under_the_reloader_the_serving_process_works_and_no_other(tmp_path: Path) -> None:
    flask = ("flask", "--app", "app:create_app", "run", "--debug", "--port", "0")
    with running(tmp_path, *flask) as server, PyQueue(tmp_path / "jobs.db") as queue:
        server.listen("Running on")
        first = server.push(1)
        assert queue.wait_for(first["job"], timeout=30) == first["pid"]
        assert pids_at_work(queue) == [first["pid"]]

        (tmp_path / "app.py").write_text(APP + "\n# changed\n")
        second = eventually(
            lambda: (answer := server.push(2))["pid"] != first["pid"] and answer, seconds=60, what="another process"
        )

        assert queue.wait_for(second["job"], timeout=30) in (first["pid"], second["pid"])
        assert pids_at_work(queue) == [second["pid"]]
        server.end(signal.SIGINT)


def test_a_worker_with_reload_begins_anew_when_the_code_changes(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    flask = ("flask", "--app", "app:create_app", "pyqueue", "worker", "--reload")
    with running(tmp_path, *flask) as worker, PyQueue(tmp_path / "jobs.db") as queue:
        [first] = eventually(lambda: pids_at_work(queue), seconds=30, what="a worker")

        (tmp_path / "app.py").write_text(APP.replace("return os.getpid()", "return 0 or os.getpid()", 1))

        [second] = eventually(
            lambda: [pid for pid in pids_at_work(queue) if pid != first], seconds=60, what="another worker"
        )
        assert queue.wait_for(queue.push("default", "stamp", {"number": 1}), timeout=30) == second
        assert worker.end(signal.SIGINT) == 0
        assert pids_at_work(queue) == []


@pytest.mark.parametrize("place", [".", "shop"])
def test_in_mode_process_children_make_the_application_as_flask_does(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "named.py").write_text(APP.replace("def create_app()", "def made()"))
    flask = ("flask", "--app", f"{place}/named:made", "pyqueue", "worker", "--mode", "process", "--concurrency", "2")
    with running(tmp_path, *flask) as worker, PyQueue(tmp_path / "jobs.db") as queue:
        jobs = [queue.push("default", "stamp", {"number": number}) for number in range(10)]
        pids = {queue.wait_for(job_id, timeout=60) for job_id in jobs}

        assert worker.end(signal.SIGTERM) == 0, worker.said()

    assert 1 <= len(pids) <= 2 and worker.process.pid not in pids


@pytest.mark.parametrize("arguments", [("pyqueue", "status"), ("routes",)])
def test_commands_start_no_worker(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text(APP)

    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app:create_app", *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    with PyQueue(tmp_path / "jobs.db") as queue:
        assert queue.workers() == []
