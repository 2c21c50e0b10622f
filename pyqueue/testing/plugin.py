"""The pytest plugin: the fixtures `pyqueue` and `pyqueue_clock`. It is there wherever pyqueue is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest loads this module in every run, also of projects that do not use the fixtures.
    from pyqueue.core.queue import PyQueue
    from pyqueue.testing.clock import FakeClock


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the ini option."""
    parser.addini("pyqueue", "The application's PyQueue as MODULE:NAME; the fixture puts it in memory.", default="")


@pytest.fixture
def pyqueue_clock() -> FakeClock:
    """The clock of the `pyqueue` fixture: it moves when told to."""
    from pyqueue.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def pyqueue(request: pytest.FixtureRequest, pyqueue_clock: FakeClock) -> Iterator[PyQueue]:
    """A queue in memory with `pyqueue_clock`: the application's, if the ini option `pyqueue` names it, or a new one."""
    from pyqueue.core.queue import PyQueue
    from pyqueue.testing.memory import in_memory

    path = request.config.getini("pyqueue")
    if not path:
        with PyQueue.memory(clock=pyqueue_clock) as opened:
            yield opened
        return
    with in_memory(_named(path), clock=pyqueue_clock) as lent:
        yield lent


def _named(path: str) -> PyQueue:
    from pyqueue.core.queue import PyQueue

    module_name, _, attribute = path.partition(":")
    found = getattr(importlib.import_module(module_name), attribute, None) if attribute else None
    if not isinstance(found, PyQueue):
        raise pytest.UsageError(
            f"the ini option pyqueue = {path!r} names no PyQueue; expected MODULE:NAME, such as shop.jobs:queue."
        )
    return found
