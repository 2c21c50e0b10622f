"""Options of jobs, drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

MS = st.sampled_from([0, 1, 500, 2_000, 40_000])

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "priority": st.integers(-2, 2),
    "lifo": st.booleans(),
    "max_attempts": st.integers(0, 3),
    "backoff": st.sampled_from(["fixed", "linear", "exponential"]),
    "backoff_delay_ms": MS,
    "timeout_ms": st.sampled_from([1, 1_500, 50_000]),
    "ttl_ms": MS,
    "delay_ms": MS,
    "unique_key": st.sampled_from("uvwxyz"),
    "remove_on_complete": st.booleans(),
    "remove_on_fail": st.booleans(),
    "group_id": st.sampled_from("xy"),
}

# A few for each job: with many, hardly a job would live long enough to be worked on.
OPTIONS = st.sets(st.sampled_from(sorted(VALUES)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in sorted(names)})
)


def fitting(queue: str, options: dict[str, Any]) -> dict[str, Any]:
    """Groups only in the queue that has them, and not with lifo."""
    is_grouped = queue == "g" and not options.get("lifo")
    return {name: value for name, value in options.items() if name != "group_id" or is_grouped}
