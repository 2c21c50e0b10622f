"""django-q2's tasks: any function, by its path."""

from __future__ import annotations

from django_q.tasks import async_task

UNFINISHED = "SELECT count(*) FROM django_q_ormq"


def push_noop() -> None:
    """Pushes a job that does nothing."""
    async_task("bench.peer.jobs.noop")


def push_stamp(port: int) -> None:
    """Pushes one that tells when it began."""
    async_task("bench.peer.jobs.stamp", port)
