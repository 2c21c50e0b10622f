"""For tests of Django projects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyqueue.contrib.django import handle
from pyqueue.contrib.django.configuration import configuration
from pyqueue.contrib.django.queues import DjangoQueue
from pyqueue.core.errors import ConfigError
from pyqueue.testing.clock import FakeClock


@contextmanager
def moving_clock(clock: FakeClock | None = None) -> Iterator[FakeClock]:
    """Within the block the queue has a clock that only moves when told to; `queue.drain()` moves it on to each delay.

    Raises:
        ConfigError: the queue has a storage of its own.
    """
    configured = configuration()
    if configured.storage is not None:
        raise ConfigError("moving_clock() is for a queue on Django's connection; this one has a STORAGE of its own.")
    clock = clock or FakeClock()
    with DjangoQueue(configured.database, handle.tasks, clock=clock) as moved, handle.replaced_by(moved):
        yield clock
