"""Celery on Redis, without results."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from bench.peer import jobs

app: Any = Celery("bench", broker=os.environ["BENCH_REDIS"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
_noop = app.task(jobs.noop, name="noop")
_stamp = app.task(jobs.stamp, name="stamp")


def push_noop() -> None:
    _noop.delay()


def push_noops(count: int) -> None:
    for _ in range(count):
        _noop.delay()


def push_stamp(port: int) -> None:
    _stamp.delay(port)
