"""Commands that take their time: long polls, and those that read. Each gets a task, one at a time for a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import structs

from pyqueue.core.errors import JobNotFound, PyQueueError, ValidationError
from pyqueue.core.job import QueueCounts
from pyqueue.core.queue import PyQueue
from pyqueue.server import tcp_commands as commands
from pyqueue.server import tcp_planners, tcp_schedules
from pyqueue.server import tcp_replies as replies


def is_slow(queue: PyQueue, command: Any) -> bool:
    """It cannot be answered by an operation in the transaction of its neighbours.

    Pushes can, unless hooks of `wrap_push` want to surround each.
    """
    kind = type(command)
    if kind is commands.Pull:
        return waits(command)
    return kind in _SLOW and (kind not in _PUSHES or queue.has_push_hooks)


def waits(command: Any) -> bool:
    """It is a long poll."""
    return type(command) is commands.Pull and bool(command.wait_ms)


async def answer(queue: PyQueue, command: Any, *, may_wait: bool) -> bytes:
    """The reply to a slow command. Without `may_wait` a long poll takes what is there."""
    if type(command) is commands.Pull and not may_wait:
        command = structs.replace(command, wait_ms=0)
    try:
        return await _SLOW[type(command)](queue, command)
    except PyQueueError as trouble:
        return replies.error(trouble)


def cut_short(command: Any) -> bytes:
    """The reply to a command whose connection ends before it is done."""
    if type(command) is commands.Pull:
        return replies.pulled([], as_list=command.count not in (None, 1), fields=None)
    return replies.refused("CLOSING", "the connection is being closed; connect again and repeat the command.")


async def _push(queue: PyQueue, command: commands.PlainPush | commands.Push) -> bytes:
    [job_id] = await queue.apush_checked(tcp_planners.push_of(command, queue.max_flow_depth))
    return replies.pushed_one(job_id)


async def _push_batch(queue: PyQueue, command: commands.PlainPushBatch | commands.PushBatch) -> bytes:
    push = tcp_planners.push_batch_of(command, queue.max_flow_depth)
    return replies.pushed(await queue.apush_checked(push) if push.jobs else [])


async def _pull(queue: PyQueue, command: commands.Pull) -> bytes:
    replies.require_fields(command.fields)
    count = 1 if command.count is None else command.count
    jobs = await queue.apull(
        command.queue,
        count=count,
        wait_ms=command.wait_ms or 0,
        lease_ms=command.lease_ms,
        worker_id=command.worker_id,
    )
    return replies.pulled(jobs, as_list=count != 1, fields=command.fields)


async def _get(queue: PyQueue, command: commands.Get) -> bytes:
    replies.require_fields(command.fields)
    try:
        return replies.job(await queue.aget_job(command.id), command.fields)
    except JobNotFound as trouble:
        return replies.not_found(trouble)


async def _stats(queue: PyQueue, command: commands.Stats) -> bytes:
    try:
        return replies.counted(await queue.astats(command.queue))
    except ValidationError:  # No job can be in a queue of a wrong name, and the wire format asks for no error.
        return replies.counted(QueueCounts())


_PUSHES: Final[dict[type, Callable[[PyQueue, Any], Awaitable[bytes]]]] = {
    commands.PlainPush: _push,
    commands.Push: _push,
    commands.PlainPushBatch: _push_batch,
    commands.PushBatch: _push_batch,
}
_SLOW: Final[dict[type, Callable[[PyQueue, Any], Awaitable[bytes]]]] = {
    **_PUSHES,
    commands.Pull: _pull,
    commands.Get: _get,
    commands.Stats: _stats,
    commands.ScheduleCreate: tcp_schedules.create,
    commands.ScheduleList: tcp_schedules.list_all,
    commands.ScheduleGet: tcp_schedules.get,
    commands.ScheduleDelete: tcp_schedules.delete,
    commands.SchedulePause: tcp_schedules.pause,
    commands.ScheduleResume: tcp_schedules.resume,
}
