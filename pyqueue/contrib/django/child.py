"""What a child process of `rqworker --mode process` runs: the project, set up in that process when it is asked for."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "queue":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import django

    django.setup()
    from pyqueue.contrib.django.handle import current
    from pyqueue.contrib.django.queues import ProjectQueue, WorkerSide

    project = current()
    assert isinstance(project, ProjectQueue)
    return WorkerSide(project.worker_url(), project)
