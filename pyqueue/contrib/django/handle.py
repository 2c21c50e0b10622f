"""`queue` and `task`: usable at import time, made real by the settings when they are first used."""

from __future__ import annotations

import threading
from typing import Any, cast

from django.utils.functional import SimpleLazyObject, empty

from pyqueue.contrib.django.configuration import configuration
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import TaskQueue

_making = threading.Lock()
_made: list[PyQueue] = []


class ProjectTasks(Tasks):
    """The tasks of the project. They push to its queue, which need not be there yet when they are defined."""

    @property
    def queue(self) -> TaskQueue:
        return current()


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


def forget(*, setting: str, **_: Any) -> None:
    """For `setting_changed`: the next use makes the queue anew."""
    if setting in ("PYQUEUE", "DATABASES"):
        _lazy._wrapped = empty
        with _making:
            if _made:
                _made.pop().close()


_lazy = SimpleLazyObject(current)
queue = cast(PyQueue, _lazy)
