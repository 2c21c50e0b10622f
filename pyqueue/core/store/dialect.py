"""From the SQL of this package, which SQLite takes as it stands, to that of PostgreSQL.

One text serves both. What must differ is written into it as comments, which SQLite skips:

    … LIMIT ? /*pg FOR UPDATE SKIP LOCKED*/       added on PostgreSQL
    … /*lite*/min/*pg least*/(?, started_at)      replaced on PostgreSQL

Placeholders are `?` everywhere, and no literal holds one. Tables may live in a schema of their own: their names,
and only theirs, are qualified, so that a caller's connection needs no search path of ours.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import count
from typing import Final, Literal

Marks = Literal["$", "%s"]

_REPLACED: Final = re.compile(r"/\*lite\*/.*?/\*pg\s+(.*?)\*/", re.DOTALL)
_ADDED: Final = re.compile(r"/\*pg\s+(.*?)\*/", re.DOTALL)
# Tables and sequences, which peewee quotes; not savepoints, nor indexes, which are where their tables are.
_OURS: Final = re.compile(r'(?<!INDEX )(?<![\w."])"?(pyqueue_(?!operation\b)[a-z_]+)"?')

# A whole number on SQLite has 64 bits whatever it is called.
_KEY: Final = re.compile(r"\b(id|position) INTEGER NOT NULL PRIMARY KEY")
# `json`, not `jsonb`: it keeps the text as it was given (the order of keys, 1.0, \\u0000).
_JSON: Final = re.compile(r"^(\s*|.* ADD COLUMN )(data|tags|metadata|extras|result) TEXT\b", re.MULTILINE)


@lru_cache(maxsize=1_024)
def for_postgres(sql: str, schema: str | None, marks: Marks = "$") -> str:
    """A statement with `$1, $2, …` or with `%s` for its placeholders, and the schema before our tables."""
    text = _ADDED.sub(r" \1", _REPLACED.sub(r"\1", sql))
    if schema is not None:
        text = _OURS.sub(lambda match: f"{quoted_name(schema)}.{match[1]}", text)
    if marks == "%s":
        return text.replace("%", "%%").replace("?", "%s")
    numbers = count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", text)


def ddl_for_postgres(statement: str) -> str:
    """A statement of a migration, in the types of PostgreSQL. Run it with the schema first in the search path."""
    text = _ADDED.sub(r" \1", _REPLACED.sub(r"\1", statement))
    text = _KEY.sub(r"\1 BIGINT NOT NULL PRIMARY KEY", text)
    text = _JSON.sub(r"\1\2 JSON", text)
    return text.replace(" WITHOUT ROWID", "")


def quoted_name(name: str) -> str:
    """An identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'
