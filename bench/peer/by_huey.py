"""huey on SQLite, without results."""

from __future__ import annotations

import os
from typing import Any

from huey import SqliteHuey

from bench.peer import jobs

huey: Any = SqliteHuey("bench", filename=os.environ["BENCH_FILE"], results=False)
_noop = huey.task()(jobs.noop)
_stamp = huey.task()(jobs.stamp)


def push_noop() -> None:
    _noop()


def push_noops(count: int) -> None:
    for _ in range(count):
        _noop()


def push_stamp(port: int) -> None:
    _stamp(port)
