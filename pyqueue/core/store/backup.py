"""A copy of a database that is in use: as it was at one moment, checked, and there as a whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from pyqueue.core.errors import ConfigError, StorageCorrupt
from pyqueue.core.store.connection import BUSY_SECONDS, meaning_of


def back_up(path: str, target: str) -> int:
    """Copies the file at `path` to `target`; gives its size in bytes. Others may write meanwhile.

    One read transaction holds the whole copy, so it is of one moment, and nobody waits for it.

    Raises:
        ConfigError: the target is there already, or cannot be written. StorageError: the file cannot be read.
        StorageCorrupt: the copy is damaged, and so is the file.
    """
    if os.path.exists(target):
        raise ConfigError(f"there is a file {target!r} already; expected a new name for the backup.")
    partial = f"{target}.partial"
    try:
        _copy(path, partial)
        os.replace(partial, target)
    except sqlite3.Error as error:
        raise meaning_of(error, path) from error
    except OSError as error:
        raise ConfigError(f"cannot write {target!r}: {error.strerror}.") from error
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return os.path.getsize(target)


def _copy(path: str, partial: str) -> None:
    with open(partial, "wb"):  # Whether it can be written, before a lock is taken.
        pass
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as source, closing(sqlite3.connect(partial)) as copy:
        source.backup(copy)
        # One file by itself, wherever it is taken; who opens it for a queue turns the log on again.
        copy.execute("PRAGMA journal_mode = DELETE")
        [found] = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StorageCorrupt(f"the copy of {path!r} is damaged ({found}), so the file is; restore an older backup.")
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())
