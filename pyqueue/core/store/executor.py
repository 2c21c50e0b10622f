"""What the engine needs of a connection: to run a statement.

A peewee `Database` is one as it stands; connections of other kinds are wrapped
(`store.joined`), so that every operation can run inside a caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Cursor(Protocol):
    """What a statement gave back."""

    @property
    def rowcount(self) -> int: ...

    @property
    def lastrowid(self) -> int | None: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Executor(Protocol):
    """Runs SQL with `?` placeholders."""

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, /) -> Cursor: ...
