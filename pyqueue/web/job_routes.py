"""Routes on jobs: looked at, finished, stepped in on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import structs

from pyqueue.core import limits
from pyqueue.core.job import JobPage, LogPage
from pyqueue.web import answers, bodies, history_replies, replies, twins
from pyqueue.web.bodies import NoQuery
from pyqueue.web.errors import Refusal
from pyqueue.web.request import Given, Plan, Role
from pyqueue.web.route import Route


def _get(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.GET_JOB(given.path[0]), answers.one_job, jobs=given.path)


def _list(given: Given[bodies.JobsQuery, None]) -> Plan[Any]:
    query = given.query
    call = twins.LIST_JOBS(
        queue=query.queue,
        state=query.state,
        name=query.name,
        tag=query.tag,
        flow_id=query.flow_id,
        custom_id=query.custom_id,
        created_after=query.created_after,
        created_before=query.created_before,
        limit=min(query.limit, limits.LIST_LIMIT_MAX),
        cursor=query.cursor,
    )
    return Plan(call, answers.job_page, queue=query.queue, within=_jobs_within)


def _jobs_within(page: JobPage, reaches: Callable[[str], bool]) -> JobPage:
    return structs.replace(page, jobs=[job for job in page.jobs if reaches(job.queue)])


def _ack(given: Given[NoQuery, bodies.AckBody]) -> Plan[Any]:
    call = twins.ACK(given.path[0], bodies.result_of(given.body.result), lease=given.body.lease)
    return Plan(call, answers.done, jobs=given.path)


def _ack_batch(given: Given[NoQuery, bodies.AckBatchBody]) -> Plan[Any]:
    items, ids = given.body.items, given.body.ids
    if items is None and ids is None:
        raise Refusal("VALIDATION_ERROR", "body has neither `items` nor `ids`; expected one of them.", status=422)
    if items is not None:
        return _acknowledge([(item.id, bodies.result_of(item.result), item.lease) for item in items])
    return _acknowledge([(job_id, None, None) for job_id in ids or ()])


def _acknowledge(items: list[tuple[str, Any, int | None]], unknown: frozenset[str] = frozenset()) -> Plan[Any]:
    ids = tuple(job_id for job_id, _, _ in items)
    return Plan(
        twins.ACK_MANY([item for item in items if item[0] not in unknown]),
        lambda results: answers.acknowledged(ids, results, unknown),
        jobs=ids,
        one_by_one=True,
        without=lambda unknown: _acknowledge(items, unknown),
    )


def _fail(given: Given[NoQuery, bodies.FailBody]) -> Plan[Any]:
    body = given.body
    call = twins.FAIL(
        given.path[0], body.error, lease=body.lease, retry=body.retry, delay_ms=body.delay_ms, discard=body.discard
    )
    return Plan(call, answers.failed, jobs=given.path)


def _release(given: Given[NoQuery, bodies.ReleaseBody]) -> Plan[Any]:
    call = twins.RELEASE(given.path[0], delay_ms=given.body.delay_ms, lease=given.body.lease)
    return Plan(call, answers.done, jobs=given.path)


def _progress(given: Given[NoQuery, bodies.ProgressBody]) -> Plan[Any]:
    body = given.body
    call = twins.PROGRESS(given.path[0], body.progress, body.message or None, lease=body.lease)
    return Plan(call, answers.done, jobs=given.path)


def _heartbeat(given: Given[NoQuery, bodies.HeartbeatBody]) -> Plan[Any]:
    call = twins.HEARTBEAT(given.path[0], lease_ms=given.body.lease_ms, lease=given.body.lease)
    return Plan(call, answers.kept_alive, jobs=given.path)


def _cancel(given: Given[NoQuery, bodies.CancelBody]) -> Plan[Any]:
    return Plan(twins.CANCEL(given.path[0], running=given.body.running), answers.cancelled, jobs=given.path)


def _retry(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.RETRY(given.path[0]), answers.done, jobs=given.path)


def _retry_many(given: Given[NoQuery, bodies.IdsBody]) -> Plan[Any]:
    return _retry_each(tuple(given.body.ids))


def _retry_each(ids: tuple[str, ...]) -> Plan[Any]:
    return Plan(
        twins.RETRY_MANY(ids),
        answers.retried,
        jobs=ids,
        one_by_one=True,
        without=lambda unknown: _retry_each(tuple(job_id for job_id in ids if job_id not in unknown)),
    )


def _delete(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.DELETE(given.path[0]), answers.done, jobs=given.path)


def _attempts(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.ATTEMPTS(given.path[0]), answers.attempts, jobs=given.path)


def _logs(given: Given[bodies.LogsQuery, None]) -> Plan[Any]:
    after, wait_ms = given.query.after, min(given.query.wait_ms, bodies.WAIT_MS_MAX)
    call = twins.LOG_PAGE(given.path[0], after=after, wait_ms=wait_ms)
    return Plan(call, answers.logs, jobs=given.path, waits=wait_ms > 0, nothing=LogPage([], is_over=False))


def _explain(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.EXPLAIN(given.path[0]), answers.explanation, jobs=given.path)


_GONE: Final = ("JOB_NOT_FOUND",)
_NOT_SO: Final = ("JOB_NOT_FOUND", "INVALID_STATE", "LEASE_LOST")

JOB_ROUTES: Final = (
    Route(
        method="GET",
        path="/jobs",
        role=Role.READ,
        handler=_list,
        query=bodies.JobsQuery,
        answer=(replies.JobPage,),
        summary="A page of the jobs that meet all conditions, newest first",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="GET",
        path="/jobs/{id}",
        role=Role.READ,
        handler=_get,
        answer=(replies.OneJob,),
        summary="A job with its logs and parents",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="GET",
        path="/jobs/{id}/attempts",
        role=Role.READ,
        handler=_attempts,
        answer=(replies.Attempts,),
        summary="The failed tries of a job, oldest first",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="GET",
        path="/jobs/{id}/logs",
        role=Role.READ,
        handler=_logs,
        query=bodies.LogsQuery,
        answer=(history_replies.Logs,),
        summary="What a job has reported, oldest first; with `wait_ms`, as soon as it reports or ends",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="GET",
        path="/jobs/{id}/explain",
        role=Role.READ,
        handler=_explain,
        answer=(history_replies.Explained,),
        summary="Why a job is not running: what holds it, until when, and by whom",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="POST",
        path="/jobs/ack-batch",
        role=Role.WORK,
        handler=_ack_batch,
        answer=(replies.AckBatch,),
        summary="Complete several jobs, each by itself",
        body=bodies.AckBatchBody,
        needs_body=True,
    ),
    Route(
        method="POST",
        path="/jobs/retry",
        role=Role.ADMIN,
        handler=_retry_many,
        answer=(replies.Retried,),
        summary="Send several dead or cancelled jobs round again; others are passed over",
        body=bodies.IdsBody,
        needs_body=True,
    ),
    Route(
        method="POST",
        path="/jobs/{id}/ack",
        role=Role.WORK,
        handler=_ack,
        answer=(replies.Done,),
        summary="Complete a job",
        body=bodies.AckBody,
        errors=_NOT_SO,
    ),
    Route(
        method="POST",
        path="/jobs/{id}/fail",
        role=Role.WORK,
        handler=_fail,
        answer=(replies.Failed,),
        summary="Report a failed attempt",
        body=bodies.FailBody,
        needs_body=True,
        errors=_NOT_SO,
    ),
    Route(
        method="POST",
        path="/jobs/{id}/release",
        role=Role.WORK,
        handler=_release,
        answer=(replies.Done,),
        summary="Give a job back unfinished; no attempt is counted",
        body=bodies.ReleaseBody,
        errors=_NOT_SO,
    ),
    Route(
        method="POST",
        path="/jobs/{id}/progress",
        role=Role.WORK,
        handler=_progress,
        answer=(replies.Done,),
        summary="Note how far a job has come",
        body=bodies.ProgressBody,
        needs_body=True,
        errors=_NOT_SO,
    ),
    Route(
        method="POST",
        path="/jobs/{id}/heartbeat",
        role=Role.WORK,
        handler=_heartbeat,
        answer=(replies.KeptAlive,),
        summary="Extend the lease",
        body=bodies.HeartbeatBody,
        errors=_NOT_SO,
    ),
    Route(
        method="POST",
        path="/jobs/{id}/cancel",
        role=Role.PUSH,
        handler=_cancel,
        answer=(replies.Cancelled,),
        summary="Withdraw a job that has not started",
        body=bodies.CancelBody,
        errors=("JOB_NOT_FOUND", "INVALID_STATE"),
    ),
    Route(
        method="POST",
        path="/jobs/{id}/retry",
        role=Role.ADMIN,
        handler=_retry,
        answer=(replies.Done,),
        summary="Send a dead or cancelled job round again",
        errors=("JOB_NOT_FOUND", "INVALID_STATE", "DUPLICATE_KEY"),
    ),
    Route(
        method="DELETE",
        path="/jobs/{id}",
        role=Role.ADMIN,
        handler=_delete,
        answer=(replies.Done,),
        summary="Remove a job that is not running",
        errors=("JOB_NOT_FOUND", "INVALID_STATE"),
    ),
)
