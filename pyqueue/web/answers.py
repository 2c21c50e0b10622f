"""The bodies of replies: results of the queue as JSON, in the shapes of the wire format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pyqueue.core.errors import no_job
from pyqueue.core.explanation import Explanation
from pyqueue.core.flow import FlowStatus
from pyqueue.core.job import (
    AckResult,
    Attempt,
    EventPage,
    FailResult,
    HeartbeatResult,
    Job,
    JobChange,
    JobPage,
    LogPage,
    QueueCounts,
    QueueInfo,
)
from pyqueue.core.presence import WorkerInfo
from pyqueue.core.quota import QueueLimit
from pyqueue.core.schedule import Schedule, ScheduleRun
from pyqueue.core.shapes import (
    attempt_object,
    counts_object,
    job_json,
    jobs_json,
    limit_object,
    log_object,
    moment_text,
    queue_object,
    schedule_object,
    schedule_run_object,
    webhook_object,
    worker_object,
)
from pyqueue.core.states import JobState
from pyqueue.core.webhook import Webhook
from pyqueue.web.stream import stream_name

_encode = msgspec.json.encode


def done(_: None) -> bytes:
    return b'{"ok":true}'


def pushed(job_id: str) -> bytes:
    return f'{{"ok":true,"id":"{job_id}"}}'.encode()


def pushed_many(ids: Sequence[str]) -> bytes:
    return _encode({"ok": True, "ids": ids})


def one_job(job: Job) -> bytes:
    return b'{"ok":true,"job":' + job_json(job) + b"}"


def pulled_one(jobs: Sequence[Job]) -> bytes:
    """The form for a count of one: the job, or null."""
    return one_job(jobs[0]) if jobs else b'{"ok":true,"job":null}'


def pulled_many(jobs: Sequence[Job]) -> bytes:
    return b'{"ok":true,"jobs":' + jobs_json(jobs) + b"}"


def job_page(page: JobPage) -> bytes:
    return b'{"ok":true,"jobs":' + jobs_json(page.jobs) + b',"next_cursor":' + _encode(page.next_cursor) + b"}"


def failed(result: FailResult) -> bytes:
    """`next_attempt_at` is left out where there is none, as the wire format has it on HTTP."""
    answer: dict[str, Any] = {"ok": True, "retry": result.will_retry}
    if result.next_attempt_at is not None:
        answer["next_attempt_at"] = moment_text(result.next_attempt_at)
    return _encode(answer)


def kept_alive(result: HeartbeatResult) -> bytes:
    return _encode(
        {
            "ok": True,
            "lease_until": moment_text(result.lease_until),
            "cancel_requested": result.cancel_requested,
        }
    )


def cancelled(state: JobState) -> bytes:
    return _encode({"ok": True, "state": state.value})


def acknowledged(ids: Sequence[str], results: Sequence[AckResult], unknown: frozenset[str]) -> bytes:
    """`ok` only if all were; else an error beside the results, so that clients have something to show.

    `results` are those of the jobs that are not in `unknown`: these are answered as ones that do not exist.
    """
    rest = iter(results)
    every = [AckResult(job_id, no_job(job_id)) if job_id in unknown else next(rest) for job_id in ids]
    outcomes = [_outcome(each) for each in every]
    refused = sum(not each.ok for each in every)
    answer: dict[str, Any] = {
        "ok": not refused,
        "acked": len(every) - refused,
        "failed": refused,
        "results": outcomes,
    }
    if refused:
        message = f"{refused} of {len(every)} jobs could not be acknowledged; see results."
        answer["error"] = {"code": "PARTIAL_FAILURE", "message": message, "details": None}
    return _encode(answer)


def _outcome(result: AckResult) -> dict[str, Any]:
    if result.error is None:
        return {"id": result.id, "ok": True}
    return {"id": result.id, "ok": False, "error": {"code": result.error.code, "message": str(result.error)}}


def retried(number: int) -> bytes:
    return _encode({"ok": True, "retried": number})


def removed(number: int) -> bytes:
    return _encode({"ok": True, "removed": number})


def attempts(found: Sequence[Attempt]) -> bytes:
    return _encode({"ok": True, "attempts": list(map(attempt_object, found))})


def logs(page: LogPage) -> bytes:
    entries = [log_object(entry) | {"number": entry.number} for entry in page.entries]
    return _encode({"ok": True, "logs": entries, "is_over": page.is_over})


def explanation(found: Explanation) -> bytes:
    return _encode({"ok": True, **msgspec.to_builtins(found)})


def counts(found: QueueCounts) -> bytes:
    return _encode({"ok": True, "counts": counts_object(found)})


def queues(found: Sequence[QueueInfo]) -> bytes:
    return _encode({"ok": True, "queues": list(map(queue_object, found))})


def event_page(page: EventPage) -> bytes:
    events = list(map(event_object, page.changes))
    return _encode({"ok": True, "events": events, "position": page.position, "has_gap": page.has_gap})


def event_object(change: JobChange) -> dict[str, Any]:
    """All that is known of one change."""
    return {
        "event": stream_name(change),
        "cause": change.event.value,
        "job_id": change.job_id,
        "queue": change.queue,
        "state": None if change.state is None else change.state.value,
        "timestamp": moment_text(change.at),
        "error": change.error,
        "worker_id": change.worker_id,
    }


def flow(found: FlowStatus) -> bytes:
    """A flow and its oldest jobs."""
    summary = {"total": found.total} | counts_object(found.counts)
    return (
        b'{"ok":true,"flow_id":' + _encode(found.flow_id) + b',"jobs":' + jobs_json(found.jobs)
        + b',"summary":' + _encode(summary) + b',"progress":' + _encode(found.progress) + b"}"
    )  # fmt: skip


def one_schedule(found: Schedule) -> bytes:
    return _encode({"ok": True, "schedule": schedule_object(found)})


def schedule_and_moments(found: Schedule) -> bytes:
    """A schedule, and when it fires next, in its own time zone."""
    moments = [moment.isoformat() for moment in found.next_runs()]
    return _encode({"ok": True, "schedule": schedule_object(found), "next_runs": moments})


def schedules(found: Sequence[Schedule]) -> bytes:
    return _encode({"ok": True, "schedules": list(map(schedule_object, found))})


def schedule_runs(found: Sequence[ScheduleRun]) -> bytes:
    return _encode({"ok": True, "runs": list(map(schedule_run_object, found))})


def changed(_: object) -> bytes:
    """`done` for calls that give something which the wire format does not show."""
    return done(None)


def cleared(was_there: bool) -> bytes:
    return _encode({"ok": True, "cleared": was_there})


def affected(number: int) -> bytes:
    return _encode({"ok": True, "jobs": number})


def workers(found: Sequence[WorkerInfo]) -> bytes:
    return _encode({"ok": True, "workers": list(map(worker_object, found))})


def limits(found: Sequence[QueueLimit]) -> bytes:
    return _encode({"ok": True, "limits": list(map(limit_object, found))})


def one_webhook(found: Webhook) -> bytes:
    return _encode({"ok": True, "webhook": webhook_object(found)})


def webhooks(found: Sequence[Webhook]) -> bytes:
    return _encode({"ok": True, "webhooks": list(map(webhook_object, found))})
