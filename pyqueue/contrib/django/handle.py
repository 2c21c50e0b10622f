"""`queue` and `task`: usable at import time, made real by the settings when they are first used."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

from django.apps import apps
from django.utils.functional import SimpleLazyObject, empty

from pyqueue.contrib.django.configuration import configuration
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import AnyTask, TaskQueue

_making = threading.Lock()
_made: list[PyQueue] = []


class ProjectTasks(Tasks):
    """The tasks of the project. They push to its queue, which need not be there yet when they are defined."""

    def __init__(self) -> None:
        super().__init__()
        self._other_queues: dict[str, None] = {}

    @property
    def queue(self) -> TaskQueue:
        return current()

    @property
    def queues(self) -> list[str]:
        """Those of our tasks, and those that tasks of `django.tasks` may be put into."""
        return list(dict.fromkeys([*super().queues, *self._other_queues]))

    def know(self, task: AnyTask, queues: Iterable[str]) -> None:
        """Takes a task of `django.tasks`, which may be put into any of the queues. The first of a name stays."""
        self._other_queues.update(dict.fromkeys(queues))
        if task.name not in self._tasks:
            self._add(task, ())

    def find(self, name: str) -> AnyTask | None:
        """A task of `django.tasks` has the path of its function for a name, and need not be in a `tasks.py`."""
        found = super().find(name)
        module = name.rpartition(".")[0]
        if found is not None or not module or apps.get_containing_app_config(module) is None:
            return found
        try:
            import_module(module)
        except ModuleNotFoundError:
            return None
        return super().find(name)


tasks = ProjectTasks()
task = tasks.task


def current() -> PyQueue:
    """The queue that the settings ask for now.

    Raises:
        ConfigError: they cannot be understood.
    """
    with _making:
        if not _made:
            from pyqueue.contrib.django.queues import queue_of  # needs the settings

            _made.append(queue_of(configuration(), tasks))
        return _made[0]


@contextmanager
def replaced_by(other: PyQueue) -> Iterator[None]:
    """Within the block another handle takes the place of the project's. For tests."""
    before, _made[:] = _made[:], [other]
    _lazy._wrapped = empty
    try:
        yield
    finally:
        _made[:] = before
        _lazy._wrapped = empty


def forget(*, setting: str, **_: Any) -> None:
    """For `setting_changed`: the next use makes the queue anew."""
    if setting in ("PYQUEUE", "DATABASES"):
        _lazy._wrapped = empty
        with _making:
            if _made:
                _made.pop().close()


_lazy = SimpleLazyObject(current)
queue = cast(PyQueue, _lazy)
