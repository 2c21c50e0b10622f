"""The PostgreSQL of the tests: the one that is given, one that runs here, or a private one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
import pytest

_STANDARD = "postgresql://127.0.0.1:5432/test"


@cache
def server_url() -> str | None:
    """The URL of a database where the tests may make schemas; None if there is none."""
    url = os.environ.get("PYQUEUE_TEST_POSTGRES_URL", _STANDARD)
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return None
    return url


@contextmanager
def new_schema() -> Iterator[str]:
    """The URL of a schema that does not exist yet, and is dropped afterwards."""
    url = server_url()
    if url is None:
        pytest.skip(f"NO POSTGRESQL: none at {_STANDARD}, and PYQUEUE_TEST_POSTGRES_URL is not set")
    schema = f"test_{secrets.token_hex(6)}"
    try:
        yield f"{url}?schema={schema}"
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET client_min_messages TO warning")
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def split(url: str) -> tuple[str, str]:
    """The URL of the database, and the schema in it, of a URL that `new_schema` has given."""
    address, _, schema = url.partition("?schema=")
    return address, schema
