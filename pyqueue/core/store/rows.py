"""Statements for many rows at once: few, large statements, in few distinct sizes.

Every call of sqlite3 gives up the GIL and must win it back, so fifty rows in one
statement cost a fraction of fifty statements. The texts come in a handful of sizes,
because Python keeps only the last 128 statements of a connection prepared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyqueue.core.limits import ROWS_PER_STATEMENT
from pyqueue.core.store.executor import Cursor

if TYPE_CHECKING:
    from pyqueue.core.store.transaction import Transaction

T = TypeVar("T")

_SIZES: Final = (ROWS_PER_STATEMENT, 250, 100, 50, 20, 10, 5, 2, 1)


def exact_chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cuts `rows` into pieces whose lengths are all in `_SIZES`, largest first."""
    if len(rows) in _SIZES:
        yield rows
        return
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def padded_chunks(keys: Sequence[T]) -> Iterator[list[T]]:
    """Cuts `keys` into pieces filled up to a length in `_SIZES` by repeating the last key.

    For sets (`id IN (…)`, joins by id), where a repetition changes nothing.
    """
    for start in range(0, len(keys), ROWS_PER_STATEMENT):
        piece = list(keys[start : start + ROWS_PER_STATEMENT])
        size = min(size for size in _SIZES if size >= len(piece))
        yield piece + [piece[-1]] * (size - len(piece))


@lru_cache(maxsize=256)
def with_marks(sql: str, count: int) -> str:
    """`sql` with `{marks}` replaced by `count` placeholders: `?, ?, ?`."""
    return sql.format(marks=", ".join(["?"] * count))


def by_keys(sql: str, keys: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """`sql` with `{keys}` replaced by what picks these jobs, all different, and the keys to bind for that.

    Jobs that were pushed together have consecutive keys and mostly go together ever after: for them a range does,
    which SQLite walks a little faster than it looks up each key of a list, and whose text is the same for any number.
    """
    if not keys:
        return
    first, last = min(keys), max(keys)
    if last - first + 1 == len(keys):
        yield sql.replace("{keys}", "BETWEEN ? AND ?"), [first, last]
        return
    for chunk in padded_chunks(keys):
        yield _with_key_list(sql, len(chunk)), chunk


@lru_cache(maxsize=256)
def _with_key_list(sql: str, count: int) -> str:
    return sql.replace("{keys}", f"IN ({', '.join(['?'] * count)})")


@lru_cache(maxsize=256)
def with_rows(sql: str, width: int, count: int) -> str:
    """`sql` with `{rows}` replaced by `count` rows of `width` placeholders: `(?, ?), (?, ?)`."""
    row = "(" + ", ".join(["?"] * width) + ")"
    return sql.format(rows=", ".join([row] * count))


def array_of(values: Iterable[int | str | None]) -> str:
    """An array for PostgreSQL: one parameter for any number of values."""
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: int | str | None) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return "NULL" if value is None else str(value)


def run_rows(tx: Transaction, sql: str, width: int, rows: Sequence[Sequence[Any]]) -> Cursor | None:
    """Runs `sql` for all rows in as few statements; gives the cursor of the last, None without rows."""
    if len(rows) == 1:  # The lone push: half of what the general way takes.
        return tx.execute(with_rows(sql, width, 1), rows[0])
    cursor = None
    for chunk in exact_chunks(rows):
        cursor = tx.execute(with_rows(sql, width, len(chunk)), flat(chunk))
    return cursor


def flat(rows: Iterable[Iterable[Any]]) -> list[Any]:
    """The values of all rows in one list, as a statement binds them."""
    return list(chain.from_iterable(rows))
