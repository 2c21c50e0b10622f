"""Moving a queue from one database to another, of either kind: same jobs, same ids, same history.

Chunk by chunk in the order of the primary keys, each committed, so that a copy that was cut off goes on where it
stopped. The ids stay what they are, since the salt is copied first; a target that has a queue of its own is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from pyqueue.core.errors import ConfigError, StorageError
from pyqueue.core.store.models import MODELS
from pyqueue.core.store.rows import run_rows
from pyqueue.core.store.store import Store
from pyqueue.core.store.transaction import Transaction

_CHUNK: Final = 2_000
# What processes know of each other, which is of no use to those on the target; and what is copied by name.
_LEFT_BEHIND: Final = frozenset({"pyqueue_listener", "pyqueue_lease", "pyqueue_worker", "pyqueue_meta"})
_FACTS: Final = ("last_deleted", "counted_to", "forgotten_to", "webhooks_to")

_META: Final = "SELECT key, value FROM pyqueue_meta"
_SET_META: Final = (
    "INSERT INTO pyqueue_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_DROP_META: Final = "DELETE FROM pyqueue_meta WHERE key = ?"
_HAS_JOBS: Final = "SELECT EXISTS (SELECT 1 FROM pyqueue_job), EXISTS (SELECT 1 FROM pyqueue_event)"
_LAST_EVENT: Final = "SELECT coalesce(max(position), 0), (SELECT count(*) FROM pyqueue_job) FROM pyqueue_event"
# Positions of new events must come behind those of the copied ones.
_SET_POSITION: Final = "SELECT setval('pyqueue_position', (SELECT coalesce(max(position), 0) FROM pyqueue_event))"


class Table(NamedTuple):
    """A table, its primary key, and its columns with the key first."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


class Copied(NamedTuple):
    """How many rows a table has at both ends."""

    table: str
    source: int
    target: int


def copy(source: Store, target: Store, report: Callable[[str, int], object] = lambda table, rows: None) -> list[Copied]:
    """Copies everything, or what is missing of it; `report` is told of each table's rows so far.

    Nobody may work on either queue meanwhile.

    Raises:
        ConfigError: both are the same, or the target has jobs of its own. StorageError: the counts differ at the end.
    """
    counts = source.snapshot(lambda tx: _copy_all(tx, target, report))
    for table, there, here in counts:
        if there != here:
            raise StorageError(
                f"{table} has {there:,} rows in {source.path} and {here:,} in {target.path}; expected the same number. "
                "Stop what works on either of them and copy again."
            )
    return counts


def _copy_all(source: Transaction, target: Store, report: Callable[[str, int], object]) -> list[Copied]:
    facts = dict(source.rows(_META))
    _begin(facts, source.row(_LAST_EVENT), target)
    for table in tables():
        for rows in _missing(source, target, table, report):
            _write(target, partial(_insert, table=table, rows=rows))
    _write(target, lambda tx: _end(tx, facts))
    counts = []
    for table in tables():
        counting = partial(_count, table=table)
        counts.append(Copied(table.name, counting(source), target.read(counting)))
    return counts


def tables() -> list[Table]:
    """What is copied, in the order in which the models stand."""
    found = []
    for model in MODELS:
        meta: Any = model._meta
        if meta.table_name not in _LEFT_BEHIND:
            key = meta.primary_key
            names = tuple(key.field_names) if hasattr(key, "field_names") else (key.name,)
            columns = tuple(meta.fields[name].column_name for name in names)
            others = tuple(field.column_name for field in meta.sorted_fields if field.column_name not in columns)
            found.append(Table(meta.table_name, columns, columns + others))
    return found


def _begin(facts: dict[str, int], state: Sequence[int], target: Store) -> None:
    """Gives the target the salt of the source, and notes of which state of it this is a copy."""
    there = target.read(lambda tx: dict(tx.rows(_META)))
    position, jobs = state
    if there["salt"] == facts["salt"] and "copy_of" not in there:
        raise ConfigError("both are the same queue, or a finished copy of it; expected a new or empty target.")
    is_begun = there["salt"] == facts["salt"]
    if is_begun and (there["copy_of"], there["copy_jobs"]) != (position, jobs):
        raise ConfigError("the source has changed since the copy was begun; empty the target and copy again.")
    if not is_begun and any(target.read(lambda tx: tx.row(_HAS_JOBS))):
        raise ConfigError("the target has jobs of its own; expected a new or empty queue.")
    marks = {"salt": facts["salt"], "copy_of": position, "copy_jobs": jobs}
    _write(target, lambda tx: [tx.execute(_SET_META, mark) for mark in marks.items()])


def _end(tx: Transaction, facts: dict[str, int]) -> None:
    for name in _FACTS:
        if name in facts:
            tx.execute(_SET_META, (name, facts[name]))
    for name in ("copy_of", "copy_jobs"):
        tx.execute(_DROP_META, (name,))
    if tx.on_postgres:
        tx.rows(_SET_POSITION)


def _missing(
    source: Transaction, target: Store, table: Table, report: Callable[[str, int], object]
) -> Iterator[list[Any]]:
    key, marks = ", ".join(table.key), ", ".join("?" * len(table.key))
    newest = ", ".join(f"{column} DESC" for column in table.key)
    last = target.read(lambda tx: tx.row(f"SELECT {key} FROM {table.name} ORDER BY {newest} LIMIT 1"))
    copied = 0
    while True:
        where = "" if last is None else f"WHERE ({key}) > ({marks})"
        sql = f"SELECT {', '.join(table.columns)} FROM {table.name} {where} ORDER BY {key} LIMIT {_CHUNK}"
        rows = source.rows(sql, () if last is None else tuple(last))
        if not rows:
            return
        yield rows
        last = rows[-1][: len(table.key)]
        copied += len(rows)
        report(table.name, copied)


def _insert(tx: Transaction, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES {{rows}}"
    run_rows(tx, sql, len(table.columns), rows)


def _count(tx: Transaction, table: Table) -> int:
    return int(tx.row(f"SELECT count(*) FROM {table.name}")[0])


def _write(target: Store, statements: Callable[[Transaction], object]) -> None:
    """One transaction, which is on the disk when this returns."""
    writer = target.take_writer(waits=True)
    assert writer is not None
    try:
        transaction = writer.begin(durable=True)
        statements(transaction)
        writer.commit(transaction)
    except Exception as error:
        writer.rollback()
        translated = target.translated(error)
        if translated is error:
            raise
        raise translated from error
    except BaseException:
        writer.rollback()
        raise
    finally:
        target.give_back(writer)
    target.flush()
