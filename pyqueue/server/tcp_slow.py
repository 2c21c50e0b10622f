"""Commands that take their time: long polls, and those that read. Each gets a task, one at a time for a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import structs

from pyqueue.core.errors import JobNotFound, PyQueueError, ValidationError
from pyqueue.core.job import QueueCounts
from pyqueue.core.queue import PyQueue
from pyqueue.server import tcp_commands as commands
from pyqueue.server import tcp_replies as replies


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
}
