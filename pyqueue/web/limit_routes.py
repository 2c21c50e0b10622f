"""Routes on the limits and breakers of queues, and on the workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyqueue.core.quota import QueueLimit
from pyqueue.web import answers, bodies, replies, twins
from pyqueue.web.bodies import NoQuery
from pyqueue.web.request import Given, Plan, Role
from pyqueue.web.route import Route


def _workers(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.WORKERS(), answers.workers)


def _all_limits(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.LIMITS(), answers.limits, within=_limits_within)


def _limits_within(found: list[QueueLimit], reaches: Callable[[str], bool]) -> list[QueueLimit]:
    return [limit for limit in found if reaches(limit.queue)]


def _limits(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.LIMITS(given.path[0]), answers.limits, queue=given.path[0])


def _set_limit(given: Given[NoQuery, bodies.LimitBody]) -> Plan[Any]:
    queue, body = given.path[0], given.body
    call = twins.SET_LIMIT(
        queue, key=body.key, concurrency=body.concurrency, rate=body.rate, per_ms=body.per_ms, burst=body.burst
    )
    return Plan(call, answers.done, queue=queue)


def _clear_limit(given: Given[bodies.LimitQuery, None]) -> Plan[Any]:
    return Plan(twins.CLEAR_LIMIT(given.path[0], key=given.query.key), answers.cleared, queue=given.path[0])


def _set_push_limit(given: Given[NoQuery, bodies.PushLimitBody]) -> Plan[Any]:
    queue, body = given.path[0], given.body
    call = twins.SET_PUSH_LIMIT(queue, rate=body.rate, per_ms=body.per_ms, burst=body.burst)
    return Plan(call, answers.done, queue=queue)


def _clear_push_limit(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.CLEAR_PUSH_LIMIT(given.path[0]), answers.cleared, queue=given.path[0])


def _set_breaker(given: Given[NoQuery, bodies.BreakerBody]) -> Plan[Any]:
    queue, body = given.path[0], given.body
    call = twins.SET_BREAKER(queue, failures=body.failures, cooldown_ms=body.cooldown_ms)
    return Plan(call, answers.done, queue=queue)


def _clear_breaker(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.CLEAR_BREAKER(given.path[0]), answers.done, queue=given.path[0])


LIMIT_ROUTES: Final = (
    Route(
        method="GET",
        path="/workers",
        role=Role.READ,
        handler=_workers,
        answer=(replies.Workers,),
        summary="The workers that live, and what they work on",
        is_safe=True,
    ),
    Route(
        method="GET",
        path="/limits",
        role=Role.READ,
        handler=_all_limits,
        answer=(replies.Limits,),
        summary="The limits of all queues",
        is_safe=True,
    ),
    Route(
        method="GET",
        path="/queues/{queue}/limits",
        role=Role.READ,
        handler=_limits,
        answer=(replies.Limits,),
        summary="The limits of a queue",
        is_safe=True,
    ),
    Route(
        method="PUT",
        path="/queues/{queue}/limits",
        role=Role.ADMIN,
        handler=_set_limit,
        body=bodies.LimitBody,
        needs_body=True,
        answer=(replies.Done,),
        summary="Limit how many jobs of a queue, or of a key in it, run at once or begin",
    ),
    Route(
        method="DELETE",
        path="/queues/{queue}/limits",
        role=Role.ADMIN,
        handler=_clear_limit,
        query=bodies.LimitQuery,
        answer=(replies.Cleared,),
        summary="Take a limit away",
    ),
    Route(
        method="PUT",
        path="/queues/{queue}/push-limit",
        role=Role.ADMIN,
        handler=_set_push_limit,
        body=bodies.PushLimitBody,
        needs_body=True,
        answer=(replies.Done,),
        summary="Limit how many jobs are pushed to a queue",
    ),
    Route(
        method="DELETE",
        path="/queues/{queue}/push-limit",
        role=Role.ADMIN,
        handler=_clear_push_limit,
        answer=(replies.Cleared,),
        summary="Take that limit away",
    ),
    Route(
        method="PUT",
        path="/queues/{queue}/breaker",
        role=Role.ADMIN,
        handler=_set_breaker,
        body=bodies.BreakerBody,
        needs_body=True,
        answer=(replies.Done,),
        summary="Stop a queue whose jobs fail in a row",
    ),
    Route(
        method="DELETE",
        path="/queues/{queue}/breaker",
        role=Role.ADMIN,
        handler=_clear_breaker,
        answer=(replies.Done,),
        summary="Take the breaker away",
    ),
)
