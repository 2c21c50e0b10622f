"""`pyqueue backup`: a copy of the file, while it is used."""

from __future__ import annotations

import click

from pyqueue.cli.storage import reports_errors, require_queue, storage_option
from pyqueue.core.config import is_postgres, sqlite_path
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
    require_queue(storage)
    size_bytes = back_up(sqlite_path(storage), target)
    click.echo(f"{target}: {size_bytes:,} bytes, checked", err=True)
