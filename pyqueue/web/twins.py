"""A method of the handle and its twin for event loops, as one thing that a route can name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from msgspec import Struct

from pyqueue.core.queue import PyQueue

P = ParamSpec("P")
R = TypeVar("R")


class Call(Struct, Generic[R], frozen=True):
    """What a request asks of the queue: a method in both its forms, and the arguments."""

    method: Callable[..., R]
    amethod: Callable[..., Awaitable[R]]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    def run(self, queue: PyQueue) -> R:
        return self.method(queue, *self.arguments, **self.options)

    async def arun(self, queue: PyQueue) -> R:
        return await self.amethod(queue, *self.arguments, **self.options)


class Twins(Generic[P, R]):
    """A method and its twin, of the same signature; called with the arguments of either, it gives the `Call`."""

    def __init__(
        self,
        method: Callable[Concatenate[PyQueue, P], R],
        amethod: Callable[Concatenate[PyQueue, P], Awaitable[R]],
    ) -> None:
        self._method = method
        self._amethod = amethod

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> Call[R]:
        return Call(self._method, self._amethod, arguments, options)


PUSH: Final = Twins(PyQueue.push, PyQueue.apush)
PUSH_MANY: Final = Twins(PyQueue.push_many, PyQueue.apush_many)
PULL: Final = Twins(PyQueue.pull, PyQueue.apull)
ACK: Final = Twins(PyQueue.ack, PyQueue.aack)
ACK_MANY: Final = Twins(PyQueue.ack_many, PyQueue.aack_many)
FAIL: Final = Twins(PyQueue.fail, PyQueue.afail)
RELEASE: Final = Twins(PyQueue.release, PyQueue.arelease)
HEARTBEAT: Final = Twins(PyQueue.heartbeat, PyQueue.aheartbeat)
PROGRESS: Final = Twins(PyQueue.progress, PyQueue.aprogress)
CANCEL: Final = Twins(PyQueue.cancel, PyQueue.acancel)
RETRY: Final = Twins(PyQueue.retry, PyQueue.aretry)
RETRY_MANY: Final = Twins(PyQueue.retry_many, PyQueue.aretry_many)
RETRY_DLQ: Final = Twins(PyQueue.retry_dlq, PyQueue.aretry_dlq)
DELETE: Final = Twins(PyQueue.delete, PyQueue.adelete)
PURGE: Final = Twins(PyQueue.purge, PyQueue.apurge)
BULK: Final = Twins(PyQueue.bulk, PyQueue.abulk)
PAUSE: Final = Twins(PyQueue.pause, PyQueue.apause)
RESUME: Final = Twins(PyQueue.resume, PyQueue.aresume)
GET_JOB: Final = Twins(PyQueue.get_job, PyQueue.aget_job)
PLACES_OF: Final = Twins(PyQueue.places_of, PyQueue.aplaces_of)
LIST_JOBS: Final = Twins(PyQueue.list_jobs, PyQueue.alist_jobs)
EXPLAIN: Final = Twins(PyQueue.explain, PyQueue.aexplain)
LOG_PAGE: Final = Twins(PyQueue.log_page, PyQueue.alog_page)
ATTEMPTS: Final = Twins(PyQueue.attempts, PyQueue.aattempts)
STATS: Final = Twins(PyQueue.stats, PyQueue.astats)
QUEUES: Final = Twins(PyQueue.queues, PyQueue.aqueues)
EVENTS: Final = Twins(PyQueue.events, PyQueue.aevents)
GET_FLOW: Final = Twins(PyQueue.get_flow, PyQueue.aget_flow)
CANCEL_FLOW: Final = Twins(PyQueue.cancel_flow, PyQueue.acancel_flow)
RETRY_FLOW: Final = Twins(PyQueue.retry_flow, PyQueue.aretry_flow)
DELETE_FLOW: Final = Twins(PyQueue.delete_flow, PyQueue.adelete_flow)
CREATE_SCHEDULE: Final = Twins(PyQueue.create_schedule, PyQueue.acreate_schedule)
EDIT_SCHEDULE: Final = Twins(PyQueue.edit_schedule, PyQueue.aedit_schedule)
GET_SCHEDULE: Final = Twins(PyQueue.get_schedule, PyQueue.aget_schedule)
LIST_SCHEDULES: Final = Twins(PyQueue.list_schedules, PyQueue.alist_schedules)
SCHEDULE_RUNS: Final = Twins(PyQueue.schedule_runs, PyQueue.aschedule_runs)
PAUSE_SCHEDULE: Final = Twins(PyQueue.pause_schedule, PyQueue.apause_schedule)
RESUME_SCHEDULE: Final = Twins(PyQueue.resume_schedule, PyQueue.aresume_schedule)
TRIGGER_SCHEDULE: Final = Twins(PyQueue.trigger_schedule, PyQueue.atrigger_schedule)
DELETE_SCHEDULE: Final = Twins(PyQueue.delete_schedule, PyQueue.adelete_schedule)
WORKERS: Final = Twins(PyQueue.workers, PyQueue.aworkers)
LIMITS: Final = Twins(PyQueue.limits, PyQueue.alimits)
SET_LIMIT: Final = Twins(PyQueue.set_limit, PyQueue.aset_limit)
CLEAR_LIMIT: Final = Twins(PyQueue.clear_limit, PyQueue.aclear_limit)
SET_PUSH_LIMIT: Final = Twins(PyQueue.set_push_limit, PyQueue.aset_push_limit)
CLEAR_PUSH_LIMIT: Final = Twins(PyQueue.clear_push_limit, PyQueue.aclear_push_limit)
SET_BREAKER: Final = Twins(PyQueue.set_breaker, PyQueue.aset_breaker)
CLEAR_BREAKER: Final = Twins(PyQueue.clear_breaker, PyQueue.aclear_breaker)
CREATE_WEBHOOK: Final = Twins(PyQueue.create_webhook, PyQueue.acreate_webhook)
EDIT_WEBHOOK: Final = Twins(PyQueue.edit_webhook, PyQueue.aedit_webhook)
GET_WEBHOOK: Final = Twins(PyQueue.get_webhook, PyQueue.aget_webhook)
DELETE_WEBHOOK: Final = Twins(PyQueue.delete_webhook, PyQueue.adelete_webhook)
LIST_WEBHOOKS: Final = Twins(PyQueue.list_webhooks, PyQueue.alist_webhooks)
PING_WEBHOOK: Final = Twins(PyQueue.ping_webhook, PyQueue.aping_webhook)
