"""The Django project of the tests, on a database of its own, in processes of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from tests import servers
from tests.contrib.contract import Answer

PROJECT = Path(__file__).parent / "shop_project"

# A web server that says where it is.
SERVER = """
from django.core.wsgi import get_wsgi_application
from wsgiref.simple_server import WSGIRequestHandler, make_server

class Handler(WSGIRequestHandler):
    def get_environ(self):
        return {**super().get_environ(), "RAW_URI": self.path}  # as gunicorn and others do

with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Handler) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


class Shop:
    """The project on one database."""

    def __init__(self, database: dict[str, Any], url: str, **settings: str) -> None:
        """`settings`: further ones of the environment."""
        self.database, self.url = database, url
        self._server: subprocess.Popen[str] | None = None
        self._environment = {
            **os.environ,
            "SHOP_DATABASE": json.dumps(database),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT.parents[2])]),
            **settings,
        }

    def with_jobs_in(self, other: Shop) -> Shop:
        """The same project with its queue on the database of another, under an alias of its own."""
        return Shop(
            self.database,
            other.url,
            SHOP_JOBS_DATABASE=json.dumps(other.database),
            SHOP_PYQUEUE=json.dumps({"DATABASE": "jobs"}),
        )

    def copied_to(self, folder: Path) -> Shop:
        """The same project with its code in a folder, where it may be changed."""
        shutil.copytree(PROJECT, folder)
        return Shop(self.database, self.url, PYTHONPATH=os.pathsep.join([str(folder), str(PROJECT.parents[2])]))

    def beside_django_rq(self, place: str, redis: str) -> Shop:
        """The same project with django-rq, as its first app or its last."""
        return Shop(self.database, self.url, SHOP_DJANGO_RQ=place, SHOP_REDIS=redis)

    def run(self, *arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Runs Python in the project, and gives what it said once it has ended, well or not as expected."""
        done = subprocess.run(
            [sys.executable, *arguments], env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A management command."""
        return self.run("-m", "django", *arguments)

    def start(self, *arguments: str, is_foreground_group: bool = False) -> subprocess.Popen[str]:
        """A management command that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "django", *arguments],
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=is_foreground_group,
        )

    # As the contract of all adapters asks for it.

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Asks its web server, which is started with the first question."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-c", SERVER], env=self._environment, stdout=subprocess.PIPE, text=True
            )
            assert self._server.stdout is not None
            self._port = int(self._server.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            kind = {"Content-Type": "application/json"} if body is not None else {}
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {**kind, **(headers or {})})
            reply = connection.getresponse()
            said = reply.read()
        finally:
            connection.close()
        return Answer(reply.status, json.loads(said) if reply.headers["Content-Type"] == "application/json" else said)

    def command(self, *arguments: str) -> str:
        """What a command of ours says."""
        return self.manage("pyqueue", *arguments).stdout

    def start_worker(self) -> subprocess.Popen[str]:
        """A worker."""
        return self.start("rqworker", "--concurrency", "2")

    def error_with(self, key: str, value: str) -> str:
        """What the project says to a setting."""
        program = f"import django, os; os.environ['SHOP_PYQUEUE'] = {json.dumps({key: value})!r}; django.setup()"
        check = "from django.core.management import call_command as call"
        done = subprocess.run(
            [sys.executable, "-c", f"{program}\n{check}\ncall('check')"],
            env=self._environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stderr

    def close(self) -> None:
        """Ends its web server."""
        if self._server is not None:
            self._server.terminate()
            self._server.communicate(timeout=30)

    def code(self, program: str) -> str:
        """What a program says that runs in the project."""
        return self.run("-c", f"import django; django.setup()\n{program}").stdout


@contextmanager
def shop_on(kind: str, folder: Path) -> Iterator[Shop]:
    """The project on an empty database of this kind."""
    if kind == "sqlite":
        path = folder / "shop.db"
        options = {"transaction_mode": "IMMEDIATE", "timeout": 20}
        yield Shop({"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": options}, str(path))
        return
    with servers.new_database() as url:
        given = conninfo_to_dict(url)
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
        place = {theirs: str(given[ours]) for ours, theirs in names.items() if ours in given}
        yield Shop({"ENGINE": "django.db.backends.postgresql", **place}, url)
