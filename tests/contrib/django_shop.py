"""The Django project of the tests, on a database of its own, in processes of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests import servers

PROJECT = Path(__file__).parent / "shop_project"


class Shop:
    """The project on one database."""

    def __init__(self, database: dict[str, Any], url: str) -> None:
        self.database, self.url = database, url
        self._environment = {
            **os.environ,
            "SHOP_DATABASE": json.dumps(database),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT.parents[2])]),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs Python in the project, and gives what it said once it has ended well."""
        done = subprocess.run(
            [sys.executable, *arguments], env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A management command."""
        return self.run("-m", "django", *arguments)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A management command that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "django", *arguments],
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
        )

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
    address, name = servers._required_url(), f"shop_{secrets.token_hex(4)}"
    given = conninfo_to_dict(address)
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield Shop(
                {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": name,
                    **{key.upper(): str(given[key]) for key in ("host", "port", "user", "password") if key in given},
                },
                urlsplit(address)._replace(path=f"/{name}").geturl(),
            )
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
