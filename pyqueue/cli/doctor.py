"""`pyqueue doctor`: whether a queue is well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pyqueue.cli.output import print_json, print_table
from pyqueue.cli.storage import json_option, open_queue, reports_errors, storage_option
from pyqueue.core.config import is_postgres, sqlite_path
from pyqueue.core.errors import PyQueueError

if TYPE_CHECKING:
    from pyqueue.core.store.checkup import Finding


@click.command()
@storage_option
@json_option
@reports_errors
def doctor(storage: str, as_json: bool) -> None:
    """Look whether the queue is well: its file, its disk, its workers. Ends with 1 if something is not.

    Example: pyqueue doctor --storage jobs.db
    """
    from pyqueue.core.store.checkup import look_at

    path = "" if is_postgres(storage) else sqlite_path(storage)
    findings = look_at(path) if path and os.path.exists(path) else []
    if all(finding.is_well for finding in findings):
        findings += _of_queue(storage)
    if as_json:
        print_json({"what": each.what, "ok": each.is_well, "detail": each.told} for each in findings)
    else:
        print_table(
            ["", "what", "detail"], [("ok" if each.is_well else "NOT OK", each.what, each.told) for each in findings]
        )
    if not all(finding.is_well for finding in findings):
        raise click.exceptions.Exit(1)


def _of_queue(storage: str) -> list[Finding]:
    from pyqueue.core.store.checkup import Finding

    with open_queue(storage) as queue:
        try:
            infos, workers = queue.queues(), queue.workers()
        except PyQueueError as error:
            return [Finding("schema", is_well=False, told=str(error))]
    waiting = sum(info.counts.waiting for info in infos)
    dead = sum(info.counts.dlq for info in infos)
    paused = sum(info.is_paused for info in infos)
    return [
        Finding("schema", is_well=True, told="known to this version"),
        Finding(
            "queues", is_well=True, told=f"{len(infos)}, {paused} paused; {waiting:,} waiting, {dead:,} dead letters"
        ),
        Finding("workers", is_well=bool(workers) or not waiting, told=f"{len(workers)} live"),
    ]
