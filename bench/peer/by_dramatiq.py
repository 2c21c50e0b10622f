"""Dramatiq on Redis."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peer import jobs

_broker: Any = RedisBroker(url=os.environ["BENCH_REDIS"])
dramatiq.set_broker(_broker)
_noop: Any = dramatiq.actor(jobs.noop)
_stamp: Any = dramatiq.actor(jobs.stamp)


def push_noop() -> None:
    _noop.send()


def push_noops(count: int) -> None:
    for _ in range(count):
        _noop.send()


def push_stamp(port: int) -> None:
    _stamp.send(port)
