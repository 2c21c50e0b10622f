"""A flow as text: a line for each job, below what it waits for and further in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_MARKS: Final = {
    "completed": "✓",
    "active": "▶",
    "waiting": "•",
    "delayed": "…",
    "blocked": "○",
    "dlq": "✗",
    "cancelled": "–",
}


def drawn(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of jobs, which are objects of the API, oldest first.

    A job stands behind all its parents and as near to the last of them as can be. What it waits for is named where
    that is more than the job that it stands under.
    """
    known = {job["id"]: job for job in jobs}
    parents = {job["id"]: [parent for parent in job["depends_on"] if parent in known] for job in jobs}
    depths = _depths(parents)
    lines = []
    width = max((2 * depths[job["id"]] + len(job["name"]) for job in jobs), default=0)
    for job_id in _in_order(parents):
        job = known[job_id]
        names = [known[parent]["name"] if parent in known else "?" for parent in job["depends_on"]]
        behind = f"  after {', '.join(names)}" if len(names) > 1 else ""
        error = f"  {job['last_error'].splitlines()[-1]}" if job["last_error"] and job["state"] == "dlq" else ""
        label = f"{'  ' * depths[job_id]}{_MARKS[job['state']]} {job['name']}"
        lines.append(f"{label:<{width + 2}}  {job['state']:<9}  {job_id}{behind}{error}")
    return lines


def _depths(parents: dict[str, list[str]]) -> dict[str, int]:
    """How many jobs stand above each, along its longest way up."""
    depths: dict[str, int] = {}
    stack = list(parents)
    while stack:
        job_id = stack[-1]
        open_parents = [parent for parent in parents[job_id] if parent not in depths]
        if open_parents:
            stack += open_parents
        else:
            stack.pop()
            depths[job_id] = max((depths[parent] + 1 for parent in parents[job_id]), default=0)
    return depths


def _in_order(parents: dict[str, list[str]]) -> list[str]:
    """Depth first from the roots, each job when the last of its parents stands there; else the older first."""
    waits = {job_id: len(its) for job_id, its in parents.items()}
    children: dict[str, list[str]] = {job_id: [] for job_id in parents}
    for job_id, its in parents.items():
        for parent in its:
            children[parent].append(job_id)
    stack = [job_id for job_id in reversed(parents) if not waits[job_id]]
    order = []
    while stack:
        job_id = stack.pop()
        order.append(job_id)
        for child in reversed(children[job_id]):
            waits[child] -= 1
            if not waits[child]:
                stack.append(child)
    return order
