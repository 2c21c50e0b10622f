"""The migrations as a script, for those who run the SQL of their databases themselves."""

from __future__ import annotations

from textwrap import dedent

from pyqueue.core import ids
from pyqueue.core.store import migrations
from pyqueue.core.store.dialect import for_postgres, quoted_name


def statements(version: int, *, on_postgres: bool, schema: str | None = None) -> list[str]:
    """What takes a database from `version` to the newest one, as statements that can be run one after another."""
    found: list[str] = []
    if on_postgres and schema is not None and version < len(migrations.STEPS):
        found += [
            f"CREATE SCHEMA IF NOT EXISTS {quoted_name(schema)}",
            f"SET LOCAL search_path TO {quoted_name(schema)}",
        ]
    for number, step in enumerate(migrations.STEPS[version:], start=version + 1):
        found += migrations.statements_of(step, on_postgres=on_postgres)
        found.append(_meta("schema_version", number))
    if version == 0:
        found += [_meta("salt", ids.new_salt()), _meta("last_deleted", 0)]
    return [_shown(for_postgres(sql, schema) if on_postgres else sql) for sql in found]


def _meta(key: str, value: int) -> str:
    return (
        f"INSERT INTO pyqueue_meta (key, value) VALUES ('{key}', {value})"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )


def _shown(sql: str) -> str:
    return dedent(sql).strip() if sql.startswith("\n") else sql
