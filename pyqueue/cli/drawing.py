"""A flow as text: a line for each job, below what it waits for and further in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyqueue.core.job import Job
from pyqueue.core.states import JobState

_MARKS: Final = {
    JobState.COMPLETED: "✓",
    JobState.ACTIVE: "▶",
    JobState.WAITING: "•",
    JobState.DELAYED: "…",
    JobState.BLOCKED: "○",
    JobState.DLQ: "✗",
    JobState.CANCELLED: "–",
}


def drawn(jobs: Sequence[Job]) -> list[str]:
    """The lines. A job stands behind all its parents and as near to the last of them as can be.

    What it waits for is named where that is more than the job that it stands under.
    """
    known = {job.key: job for job in jobs}
    depths = _depths(known)
    lines = []
    width = max((2 * depths[key] + len(job.name) for key, job in known.items()), default=0)
    for key in _in_order(known):
        job = known[key]
        parents = [known[parent].name if parent in known else "?" for parent in job.parents]
        behind = f"  after {', '.join(parents)}" if len(parents) > 1 else ""
        error = f"  {job.last_error.splitlines()[-1]}" if job.last_error and job.state is JobState.DLQ else ""
        label = f"{'  ' * depths[key]}{_MARKS[job.state]} {job.name}"
        lines.append(f"{label:<{width + 2}}  {job.state.value:<9}  {job.id}{behind}{error}")
    return lines


def _depths(jobs: dict[int, Job]) -> dict[int, int]:
    """How many jobs stand above each, along its longest way up."""
    depths: dict[int, int] = {}
    stack = list(jobs)
    while stack:
        key = stack[-1]
        parents = [parent for parent in jobs[key].parents if parent in jobs]
        open_parents = [parent for parent in parents if parent not in depths]
        if open_parents:
            stack += open_parents
        else:
            stack.pop()
            depths[key] = max((depths[parent] + 1 for parent in parents), default=0)
    return depths


def _in_order(jobs: dict[int, Job]) -> list[int]:
    """Depth first from the roots, each job when the last of its parents stands there."""
    waits = {key: sum(parent in jobs for parent in job.parents) for key, job in jobs.items()}
    children: dict[int, list[int]] = {}
    for key, job in jobs.items():
        for parent in job.parents:
            children.setdefault(parent, []).append(key)
    stack = [key for key in sorted(jobs, reverse=True) if not waits[key]]
    order = []
    while stack:
        key = stack.pop()
        order.append(key)
        for child in sorted(children.get(key, ()), reverse=True):
            waits[child] -= 1
            if not waits[child]:
                stack.append(child)
    return order
