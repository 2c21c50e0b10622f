"""Commands that take their time: long polls, and those that read. Each gets a task, one at a time for a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import structs

from pyqueue.core.errors import JobNotFound, PyQueueError, ValidationError
from pyqueue.core.job import QueueCounts
from pyqueue.core.queue import PyQueue
from pyqueue.server import tcp_access, tcp_schedules
from pyqueue.server import tcp_commands as commands
from pyqueue.server import tcp_replies as replies
from pyqueue.web.request import Grant


def is_slow(command: Any) -> bool:
    """It cannot be answered by an operation in the transaction of its neighbours."""
    return waits(command) if type(command) is commands.Pull else type(command) in _SLOW


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


async def require_reach(queue: PyQueue, grant: Grant, command: Any) -> None:
    """Lets pass what names jobs of queues that the grant reaches only.

    Raises:
        JobNotFound: as for a job that does not exist, of which the client is to learn no more.
    """
    for job_id in tcp_access.jobs_of(command):
        try:
            job = await queue.aget_job(job_id)
        except PyQueueError:
            continue  # The command itself will say so.
        if not grant.reaches(job.queue):
            raise JobNotFound(f"job {job_id} is not in a queue that token {grant.name!r} reaches.")


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


_SLOW: Final[dict[type, Callable[[PyQueue, Any], Awaitable[bytes]]]] = {
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
