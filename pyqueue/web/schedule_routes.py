"""Routes on schedules."""

from __future__ import annotations

from typing import Any, Final

from pyqueue.core import limits
from pyqueue.web import answers, bodies, replies, twins
from pyqueue.web.bodies import NoQuery
from pyqueue.web.request import Given, Plan, Role
from pyqueue.web.route import Route


def _create(given: Given[NoQuery, bodies.ScheduleBody]) -> Plan[Any]:
    body = given.body
    data = bodies.result_of(body.job_data)
    options = body.given()
    call: Any = twins.CREATE_SCHEDULE(
        body.name, body.queue, body.job_name, data, fires_at_once=body.fires_at_once, **options
    )
    return Plan(
        call, answers.one_schedule, queue=body.queue, schedule=body.name, options=[options.get("job_options", {})]
    )


def _edit(given: Given[NoQuery, bodies.ScheduleChanges]) -> Plan[Any]:
    changes = given.body.given()
    call: Any = twins.EDIT_SCHEDULE(given.path[0], **changes)
    return Plan(
        call,
        answers.one_schedule,
        queue=changes.get("queue"),
        schedule=given.path[0],
        options=[changes.get("job_options") or {}],
    )


def _list(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.LIST_SCHEDULES(), answers.schedules)


def _get(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.GET_SCHEDULE(given.path[0]), answers.schedule_and_moments, schedule=given.path[0])


def _runs(given: Given[bodies.RunsQuery, None]) -> Plan[Any]:
    limit = min(given.query.limit, limits.SCHEDULE_RUNS_KEPT)
    return Plan(twins.SCHEDULE_RUNS(given.path[0], limit=limit), answers.schedule_runs, schedule=given.path[0])


def _pause(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.PAUSE_SCHEDULE(given.path[0]), answers.changed, schedule=given.path[0])


def _resume(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.RESUME_SCHEDULE(given.path[0]), answers.changed, schedule=given.path[0])


def _trigger(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.TRIGGER_SCHEDULE(given.path[0]), answers.pushed, schedule=given.path[0])


def _delete(given: Given[NoQuery, None]) -> Plan[Any]:
    # Also well for one that is not there.
    return Plan(twins.DELETE_SCHEDULE(given.path[0]), answers.changed, schedule=given.path[0])


_GONE: Final = ("SCHEDULE_NOT_FOUND",)

SCHEDULE_ROUTES: Final = (
    Route(
        method="POST",
        path="/schedules",
        role=Role.ADMIN,
        handler=_create,
        body=bodies.ScheduleBody,
        needs_body=True,
        status=201,
        answer=(replies.OneSchedule,),
        summary="Make a schedule, or give one another definition",
    ),
    Route(
        method="GET",
        path="/schedules",
        role=Role.READ,
        handler=_list,
        answer=(replies.Schedules,),
        summary="All schedules, by name",
        is_safe=True,
    ),
    Route(
        method="GET",
        path="/schedules/{name}",
        role=Role.READ,
        handler=_get,
        answer=(replies.ScheduleAndMoments,),
        summary="A schedule, and its next moments",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="PATCH",
        path="/schedules/{name}",
        role=Role.ADMIN,
        handler=_edit,
        body=bodies.ScheduleChanges,
        needs_body=True,
        answer=(replies.OneSchedule,),
        summary="Change what is given, and leave the rest",
        errors=_GONE,
    ),
    Route(
        method="DELETE",
        path="/schedules/{name}",
        role=Role.ADMIN,
        handler=_delete,
        answer=(replies.Done,),
        summary="Remove a schedule; its jobs stay",
    ),
    Route(
        method="GET",
        path="/schedules/{name}/runs",
        role=Role.READ,
        handler=_runs,
        query=bodies.RunsQuery,
        answer=(replies.ScheduleRuns,),
        summary="What came of its last moments, newest first",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="POST",
        path="/schedules/{name}/pause",
        role=Role.ADMIN,
        handler=_pause,
        answer=(replies.Done,),
        summary="Let it push no jobs until it is resumed",
        errors=_GONE,
    ),
    Route(
        method="POST",
        path="/schedules/{name}/resume",
        role=Role.ADMIN,
        handler=_resume,
        answer=(replies.Done,),
        summary="End its pause",
        errors=_GONE,
    ),
    Route(
        method="POST",
        path="/schedules/{name}/trigger",
        role=Role.ADMIN,
        handler=_trigger,
        answer=(replies.Pushed,),
        summary="Push a job of it now, beside its timing",
        errors=(*_GONE, "DUPLICATE_KEY", "QUEUE_PAUSED", "RATE_LIMITED"),
    ),
)
