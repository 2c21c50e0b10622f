"""Routes on webhooks. Their URLs may hold secrets, so all of them are for `admin`."""

from __future__ import annotations

from typing import Any, Final

from pyqueue.core import webhook
from pyqueue.core.errors import ValidationError
from pyqueue.web import answers, bodies, replies, twins
from pyqueue.web.bodies import NoQuery
from pyqueue.web.errors import Refusal
from pyqueue.web.request import Given, Plan, Role
from pyqueue.web.route import Route

BASE: Final = "/webhooks"


def _events(given: list[str] | None) -> tuple[str, ...] | None:
    """The names in one form; a name that nobody knows is a body of another shape, as the wire format has it."""
    try:
        return None if given is None else webhook.event_names(given)
    except ValidationError as error:
        raise Refusal("VALIDATION_ERROR", f"body: {error}", status=422) from error


def _create(given: Given[NoQuery, bodies.WebhookBody]) -> Plan[Any]:
    body = given.body
    call = twins.CREATE_WEBHOOK(
        body.url, events=_events(body.events) or (), queues=body.queues or (), secret=body.secret or None
    )
    return Plan(call, answers.one_webhook)


def _edit(given: Given[NoQuery, bodies.WebhookChanges]) -> Plan[Any]:
    body = given.body
    call = twins.EDIT_WEBHOOK(
        given.path[0],
        url=body.url,
        events=_events(body.events),
        queues=body.queues,
        secret=body.secret,
        is_active=body.active,
    )
    return Plan(call, answers.one_webhook)


def _list(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.LIST_WEBHOOKS(), answers.webhooks)


def _get(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.GET_WEBHOOK(given.path[0]), answers.one_webhook)


def _delete(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.DELETE_WEBHOOK(given.path[0]), answers.done)


def _ping(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.PING_WEBHOOK(given.path[0]), answers.pushed)


def _deliveries(given: Given[bodies.DeliveriesQuery, None]) -> Plan[Any]:
    query = given.query
    limit = min(query.limit, webhook.DELIVERIES_SHOWN_MAX)
    call = twins.LIST_JOBS(queue=webhook.QUEUE, tag=given.path[0], state=query.state, limit=limit, cursor=query.cursor)
    return Plan(call, answers.job_page)


_GONE: Final = ("WEBHOOK_NOT_FOUND",)

WEBHOOK_ROUTES: Final = (
    Route(
        method="POST",
        path="/webhooks",
        role=Role.ADMIN,
        handler=_create,
        body=bodies.WebhookBody,
        needs_body=True,
        status=201,
        answer=(replies.OneWebhook,),
        summary="Register a URL to be told of what happens from now on",
    ),
    Route(
        method="GET",
        path="/webhooks",
        role=Role.ADMIN,
        handler=_list,
        answer=(replies.Webhooks,),
        summary="All webhooks, oldest first",
        is_safe=True,
    ),
    Route(
        method="GET",
        path="/webhooks/{id}",
        role=Role.ADMIN,
        handler=_get,
        answer=(replies.OneWebhook,),
        summary="A webhook; never its secret",
        is_safe=True,
        errors=_GONE,
    ),
    Route(
        method="PATCH",
        path="/webhooks/{id}",
        role=Role.ADMIN,
        handler=_edit,
        body=bodies.WebhookChanges,
        needs_body=True,
        answer=(replies.OneWebhook,),
        summary="Change what is given; `active` true ends a stop after failures",
        errors=_GONE,
    ),
    Route(
        method="DELETE",
        path="/webhooks/{id}",
        role=Role.ADMIN,
        handler=_delete,
        answer=(replies.Done,),
        summary="Remove a webhook, with what was still to be delivered",
        errors=_GONE,
    ),
    Route(
        method="POST",
        path="/webhooks/{id}/test",
        role=Role.ADMIN,
        handler=_ping,
        status=201,
        answer=(replies.Pushed,),
        summary="Send it an event `webhook.test`; gives the job that does",
        errors=(*_GONE, "QUEUE_PAUSED", "RATE_LIMITED"),
    ),
    Route(
        method="GET",
        path="/webhooks/{id}/deliveries",
        role=Role.ADMIN,
        handler=_deliveries,
        query=bodies.DeliveriesQuery,
        answer=(replies.JobPage,),
        summary="Its deliveries, newest first: jobs, which `/jobs/{id}/retry` sends again",
        is_safe=True,
    ),
)
