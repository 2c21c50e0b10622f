"""Routes on flows: jobs joined by their dependencies."""

from __future__ import annotations

from typing import Any, Final

from pyqueue.core import limits
from pyqueue.web import answers, bodies, replies, twins
from pyqueue.web.bodies import NoQuery
from pyqueue.web.request import Given, Plan, Role
from pyqueue.web.route import Route


def _get(given: Given[bodies.FlowQuery, None]) -> Plan[Any]:
    limit = min(given.query.limit, limits.LIST_LIMIT_MAX)
    return Plan(twins.GET_FLOW(given.path[0], limit=limit), answers.flow)


def _cancel(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.CANCEL_FLOW(given.path[0]), answers.affected)


def _retry(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.RETRY_FLOW(given.path[0]), answers.affected)


def _delete(given: Given[NoQuery, None]) -> Plan[Any]:
    return Plan(twins.DELETE_FLOW(given.path[0]), answers.affected)


FLOW_ROUTES: Final = (
    Route(
        method="GET",
        path="/flows/{flow_id}",
        role=Role.READ,
        handler=_get,
        query=bodies.FlowQuery,
        answer=(replies.Flow,),
        summary="The oldest jobs of a flow, and how many are in each state",
        is_safe=True,
    ),
    Route(
        method="POST",
        path="/flows/{flow_id}/cancel",
        role=Role.ADMIN,
        handler=_cancel,
        answer=(replies.Affected,),
        summary="Withdraw the jobs of a flow that have not ended",
        errors=("INVALID_STATE",),
    ),
    Route(
        method="POST",
        path="/flows/{flow_id}/retry",
        role=Role.ADMIN,
        handler=_retry,
        answer=(replies.Affected,),
        summary="Send the dead and cancelled jobs of a flow round again",
        errors=("INVALID_STATE", "DUPLICATE_KEY"),
    ),
    Route(
        method="DELETE",
        path="/flows/{flow_id}",
        role=Role.ADMIN,
        handler=_delete,
        answer=(replies.Affected,),
        summary="Remove the jobs of a flow",
        errors=("INVALID_STATE",),
    ),
)
