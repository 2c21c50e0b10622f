"""`pyqueue backup`: a copy of the file, while it is used."""

from __future__ import annotations

import os

import click

from pyqueue.cli.storage import reports_errors, storage_option
from pyqueue.core.config import MEMORY, is_postgres, sqlite_path
from pyqueue.core.errors import ConfigError


@click.command()
@click.argument("target", metavar="FILE")
@storage_option
@reports_errors
def backup(target: str, storage: str) -> None:
    """Copy the queue's file to FILE, as it is at this moment, beside everyone who uses it.

    The copy is checked, and there as a whole or not at all. To restore it, stop everyone and put it in place.

    Example: pyqueue backup jobs-monday.db --storage jobs.db
    """
    from pyqueue.core.store.backup import back_up  # sqlite3, which most commands meet later or not at all

    if is_postgres(storage):
        raise ConfigError("storage is a PostgreSQL database; back it up with pg_dump.")
    path = sqlite_path(storage)
    if path == MEMORY or not os.path.exists(path):
        raise ConfigError(f"there is no file {path!r}; expected a queue that was used before. Check --storage.")
    size_bytes = back_up(path, target)
    click.echo(f"{target}: {size_bytes:,} bytes, checked", err=True)
