"""Commands on storages as a whole: their schema, and moving a queue from one to another."""

from __future__ import annotations

import click

from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, reports_errors, storage_option
from pyqueue.core.clock import SystemClock
from pyqueue.core.config import store_of
from pyqueue.core.store.copying import copy as copy_queue
from pyqueue.core.store.store import Store


@click.command()
@storage_option
@click.option("--sql", "as_sql", is_flag=True, help="Print the statements instead of running them.")
@reports_errors
def migrate(storage: str, as_sql: bool) -> None:
    """Make the tables, or bring them up to this version.

    Whatever opens a queue does this by itself; the command is for deployments that want it done before, or by
    another role. With --sql it prints what is still to be done, as one transaction.

    Example: pyqueue migrate --storage postgresql://user@host/shop --sql
    """
    store = _store(storage)
    try:
        statements = store.migration_sql()
        if as_sql:
            for statement in ["BEGIN", *statements, "COMMIT"] if statements else []:
                click.echo(f"{statement};")
            return
        _ = store.salt
        click.echo(f"{store.path}: {'up to date' if not statements else 'migrated'}", err=True)
    finally:
        store.close()


@click.command()
@click.argument("source")
@click.argument("target")
@json_option
@reports_errors
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy a queue from one storage to another, of either kind: sqlite:///jobs.db postgresql://host/database.

    Jobs keep their ids, states and history. Stop everything that works on either of them first. A copy that was
    cut off is continued by the same command; at the end the rows of each table are counted at both ends.

    Example: pyqueue copy jobs.db postgresql://user@host/shop
    """
    theirs, ours = _store(source), _store(target)
    try:
        if not theirs.exists():
            raise click.UsageError(f"there is no queue in {theirs.path}.")
        counts = copy_queue(theirs, ours)
        if as_json:
            print_json({"table": table, "rows": rows} for table, rows, _ in counts)
        else:
            print_table(("TABLE", "ROWS"), ((table, rows) for table, rows, _ in counts))
    finally:
        theirs.close()
        ours.close()


def _store(storage: str) -> Store:
    return store_of(storage, durability="power", clock=SystemClock(), logs_events=True)
