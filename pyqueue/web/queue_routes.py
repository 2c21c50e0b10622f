"""Routes on queues: pushed to, pulled from, counted, paused; and on what happens in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import structs

from pyqueue.core import limits, validate
from pyqueue.core.errors import ValidationError
from pyqueue.core.job import EventPage, Job, JobPage, QueueCounts
from pyqueue.core.states import JobState
from pyqueue.web import answers, bodies, replies, twins
from pyqueue.web.bodies import NoQuery
from pyqueue.web.request import Given, Plan, Reply, Role
from pyqueue.web.route import Route


def _push(given: Given[NoQuery, bodies.NewJob | list[bodies.NewJob]]) -> Plan[Any]:
    queue, body = given.path[0], given.body
    if isinstance(body, list):
        jobs = [{"name": job.name, "data": job.data, **job.merged()} for job in body]
        return Plan(twins.PUSH_MANY(queue, jobs), answers.pushed_many, queue=queue, options=jobs)
    options = body.merged()
    call: Any = twins.PUSH(queue, body.name, body.data, **options)
    return Plan(call, answers.pushed, queue=queue, options=[options])


def _pull(given: Given[bodies.PullQuery, None]) -> Plan[Any] | Reply:
    queue, query = given.path[0], given.query
    shape: Callable[[Sequence[Job]], bytes] = answers.pulled_one if query.count == 1 else answers.pulled_many
    if not is_name(queue):
        return Reply(200, shape([]))
    call = twins.PULL(
        queue,
        count=min(query.count, limits.PULL_COUNT_MAX),
        wait_ms=min(query.wait_ms, bodies.WAIT_MS_MAX),
        lease_ms=query.lease_ms,
        worker_id=query.worker_id,
    )
    return Plan(call, shape, queue=queue, waits=query.wait_ms > 0)


def _dlq(given: Given[bodies.DlqQuery, None]) -> Plan[Any] | Reply:
    queue, query = given.path[0], given.query
    if not is_name(queue) or not query.limit:
        return Reply(200, answers.job_page(JobPage([], None)))
    limit = min(query.limit, limits.LIST_LIMIT_MAX)
    call = twins.LIST_JOBS(queue=queue, state=JobState.DLQ, limit=limit, cursor=query.cursor)
    return Plan(call, answers.job_page, queue=queue)


def _retry_dlq(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.RETRY_DLQ(given.path[0]), answers.retried, queue=given.path[0])


def _purge(given: Given[NoQuery, bodies.PurgeBody]) -> Plan[Any]:
    return Plan(twins.PURGE(given.path[0], state=given.body.state), answers.removed, queue=given.path[0])


def _bulk(given: Given[NoQuery, bodies.BulkBody]) -> Plan[Any]:
    call: Any = twins.BULK(queue=given.path[0], **structs.asdict(given.body))
    return Plan(call, answers.affected, queue=given.path[0])


def _stats(given: Given[NoQuery, None]) -> Plan[Any] | Reply:
    if not is_name(given.path[0]):
        return Reply(200, answers.counts(QueueCounts()))
    return Plan(twins.STATS(given.path[0]), answers.counts, queue=given.path[0])


def _queues(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.QUEUES(), answers.queues)


def _pause(given: Given[NoQuery, bodies.PauseBody]) -> Plan[Any] | Reply:
    if not is_name(given.path[0]):  # Pushes to it are refused as it is, and it can have no jobs.
        return Reply(200, answers.done(None))
    call = twins.PAUSE(given.path[0], pushes=given.body.pushes, pulls=given.body.pulls)
    return Plan(call, answers.done, queue=given.path[0])


def _resume(given: Given[NoQuery, None]) -> Plan[Any] | Reply:
    if not is_name(given.path[0]):
        return Reply(200, answers.done(None))
    return Plan(twins.RESUME(given.path[0]), answers.done, queue=given.path[0])


def _events(given: Given[bodies.EventsQuery, None]) -> Plan[Any]:
    limit = min(given.query.limit, limits.LIST_LIMIT_MAX)
    return Plan(twins.EVENTS(given.query.after, limit=limit), answers.event_page, within=_events_within)


def _events_within(page: EventPage, reaches: Callable[[str], bool]) -> EventPage:
    return structs.replace(page, changes=[change for change in page.changes if reaches(change.queue)])


def is_name(queue: str) -> bool:
    """Whether a queue can be called so. One that cannot is empty, and looking at it is no error on the wire."""
    try:
        validate.queue_name(queue)
    except ValidationError:
        return False
    return True


QUEUE_ROUTES: Final = (
    Route(
        method="POST",
        path="/queues/{queue}/jobs",
        role=Role.PUSH,
        handler=_push,
        status=201,
        answer=(replies.Pushed, replies.PushedMany),
        summary="Store a job, or all of an array of jobs or none",
        body=bodies.NewJob | list[bodies.NewJob],
        needs_body=True,
        errors=("DUPLICATE_KEY", "RATE_LIMITED", "QUEUE_PAUSED"),
    ),
    Route(
        method="GET",
        path="/queues/{queue}/jobs",
        role=Role.WORK,
        handler=_pull,
        query=bodies.PullQuery,
        answer=(replies.PulledOne, replies.PulledMany),
        summary="Take jobs to run, the most urgent first, each under a lease",
    ),
    Route(
        method="GET",
        path="/queues/{queue}/dlq",
        role=Role.READ,
        handler=_dlq,
        query=bodies.DlqQuery,
        answer=(replies.JobPage,),
        summary="The dead letters of a queue, newest first",
        is_safe=True,
        errors=("JOB_NOT_FOUND",),
    ),
    Route(
        method="POST",
        path="/queues/{queue}/dlq/retry",
        role=Role.ADMIN,
        handler=_retry_dlq,
        answer=(replies.Retried,),
        summary="Send all dead letters of a queue round again",
    ),
    Route(
        method="POST",
        path="/queues/{queue}/purge",
        role=Role.ADMIN,
        handler=_purge,
        answer=(replies.Removed,),
        summary="Remove the jobs of a queue in one state, or in all but active",
        body=bodies.PurgeBody,
    ),
    Route(
        method="POST",
        path="/queues/{queue}/bulk",
        role=Role.ADMIN,
        handler=_bulk,
        answer=(replies.Affected,),
        summary="Cancel, retry or delete all jobs of a queue that meet the conditions",
        body=bodies.BulkBody,
        needs_body=True,
    ),
    Route(
        method="GET",
        path="/queues/{queue}/stats",
        role=Role.READ,
        handler=_stats,
        answer=(replies.Counts,),
        summary="How many jobs of a queue are in each state",
        is_safe=True,
    ),
    Route(
        method="POST",
        path="/queues/{queue}/pause",
        role=Role.ADMIN,
        handler=_pause,
        answer=(replies.Done,),
        summary="Refuse pushes to a queue, or hand out none of its jobs, or both",
        body=bodies.PauseBody,
    ),
    Route(
        method="POST",
        path="/queues/{queue}/resume",
        role=Role.ADMIN,
        handler=_resume,
        answer=(replies.Done,),
        summary="End every pause of a queue",
    ),
    Route(
        method="GET",
        path="/queues",
        role=Role.READ,
        handler=_queues,
        answer=(replies.Queues,),
        summary="All queues with their counts and pauses, by name",
        is_safe=True,
    ),
    Route(
        method="GET",
        path="/events/log",
        role=Role.READ,
        handler=_events,
        query=bodies.EventsQuery,
        answer=(replies.EventPage,),
        summary="What was committed after a position, oldest first",
        is_safe=True,
    ),
)
