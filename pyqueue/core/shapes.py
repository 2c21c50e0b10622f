"""Jobs and queues as JSON objects: the shapes of the wire format, used by every door that speaks JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pyqueue.core.job import Attempt, Job, QueueCounts, QueueInfo
from pyqueue.core.states import STATES

# In the order of the wire format's table; each is an attribute of `Job`.
_JOB_KEYS: Final = (
    "id", "custom_id", "name", "queue", "data", "result", "state", "progress", "logs", "priority", "delay_until",
    "created_at", "updated_at", "started_at", "completed_at", "max_attempts", "attempt", "backoff",
    "backoff_delay_ms", "last_error", "ttl_ms", "timeout_ms", "unique_key", "tags", "group_id", "metadata",
    "depends_on", "flow_id", "lifo", "remove_on_complete", "remove_on_fail", "worker_id", "last_heartbeat",
    "backoff_jitter", "lease", "lease_until", "expires_at", "cancel_requested",
)  # fmt: skip


def job_object(job: Job) -> dict[str, Any]:
    """A job with every key present, null when unset; only `metadata` is left out when there is none."""
    shape = {key: _plain(getattr(job, key)) for key in _JOB_KEYS}
    shape["logs"] = [{"timestamp": moment_text(entry.at), "message": entry.message} for entry in job.logs]
    if shape["metadata"] is None:
        del shape["metadata"]
    return shape


def attempt_object(attempt: Attempt) -> dict[str, Any]:
    return {field: _plain(getattr(attempt, field)) for field in Attempt.__struct_fields__}


def counts_object(counts: QueueCounts) -> dict[str, int]:
    """The counts of each state, and `failed`, which the wire format has and nothing ever enters."""
    return {state.value: getattr(counts, state.value) for state in STATES} | {"failed": 0}


def queue_object(info: QueueInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "counts": counts_object(info.counts),
        "pushes_paused": info.pushes_paused,
        "pulls_paused": info.pulls_paused,
    }


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC, with `Z`."""
    return moment.isoformat().replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, tuple):
        return list(value)
    return value
