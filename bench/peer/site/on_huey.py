"""huey's tasks, pushed when the transaction commits."""

from __future__ import annotations

from huey.contrib.djhuey import HUEY, on_commit_task

from bench.peer import jobs

push_noop = on_commit_task()(jobs.noop)
push_stamp = on_commit_task()(jobs.stamp)


def unfinished() -> int:
    """Jobs that wait."""
    return int(HUEY.pending_count())
