"""Assertions about what was pushed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.task import AnyTask, Task
from pyqueue.core.validate import job_name, shown

_LOOK_SECONDS: Final = 0.01
_SHOWN_MAX: Final = 10


def assert_pushed(
    queue: PyQueue,
    task: AnyTask | str,
    args: Mapping[str, Any] | None = None,
    *,
    on_queue: str | None = None,
    count: int | None = None,
    within: float = 0.0,
) -> list[Job]:
    """Asserts that jobs of a task (or name) were pushed, in whatever state they are now; gives them, oldest first.

    `args`: arguments that each must have, among others; as Python values, which are compared in their JSON form.
    `on_queue`: pushed to this queue. `count`: exactly so many (0: none); None stands for one or more.
    `within`: seconds to wait for them, where another thread or process pushes.

    Raises:
        AssertionError: which jobs there are instead.
    """
    name = task.name if isinstance(task, Task) else job_name(task)
    wanted = _json_form(dict(args or {}))
    deadline = time.monotonic() + within
    while True:
        found = [job for job in _jobs(queue, name=name, on_queue=on_queue) if _has(job, wanted)]
        if (len(found) == count if count is not None else bool(found)) and (count != 0 or _is_over(deadline)):
            return found[::-1]
        if _is_over(deadline):
            raise AssertionError(_explained(queue, name, args, on_queue, count, len(found)))
        time.sleep(_LOOK_SECONDS)


def _jobs(queue: PyQueue, *, name: str | None, on_queue: str | None) -> Iterator[Job]:
    """All jobs of the name, newest first."""
    cursor: str | None = None
    while True:
        page = queue.list_jobs(name=name, queue=on_queue, limit=1_000, cursor=cursor)
        yield from page.jobs
        cursor = page.next_cursor
        if cursor is None:
            return


def _has(job: Job, wanted: Mapping[str, Any]) -> bool:
    data = job.data if isinstance(job.data, dict) else {}
    return all(key in data and data[key] == value for key, value in wanted.items())


def _json_form(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _is_over(deadline: float) -> bool:
    return time.monotonic() >= deadline


def _explained(
    queue: PyQueue, name: str, args: Mapping[str, Any] | None, on_queue: str | None, count: int | None, found: int
) -> str:
    expected = "at least 1" if count is None else str(count)
    where = "" if on_queue is None else f" on queue {on_queue!r}"
    having = f" with {shown(dict(args))}" if args else ""
    there = [
        f"  {job.queue}/{job.name} {shown(job.data)} ({job.state})" for job in _jobs(queue, name=None, on_queue=None)
    ]
    more = f"\n  … and {len(there) - _SHOWN_MAX} more" if len(there) > _SHOWN_MAX else ""
    listed = "\n".join(there[:_SHOWN_MAX]) or "  nothing"
    return f"expected {expected} of {name!r}{where}{having}, found {found}; pushed were, newest first:\n{listed}{more}"
