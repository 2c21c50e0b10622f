"""A queue in PostgreSQL, for tests of what only that store has."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pyqueue import PyQueue
from tests import servers


@pytest.fixture
def url() -> Iterator[str]:
    """A schema of its own, which does not exist yet."""
    with servers.new_schema() as url:
        yield url


@pytest.fixture
def pg(url: str) -> Iterator[PyQueue]:
    with PyQueue(url) as queue:
        yield queue


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    """A connection with the schema of the queue in its search path, in autocommit."""
    address, schema = servers.split(url)
    with psycopg.connect(address, autocommit=True, options=f"-c search_path={schema}") as opened:
        yield opened
