"""The commands about schedules."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from pyqueue.core.errors import ScheduleNotFound
from pyqueue.core.job import JobOptions
from pyqueue.core.queue import PyQueue
from pyqueue.core.shapes import schedule_object
from pyqueue.server import tcp_commands as commands
from pyqueue.server import tcp_replies as replies

_encode: Final = msgspec.json.encode
_OPTIONS: Final = (
    "cron_expr", "every_ms", "timezone", "max_executions", "start_at", "end_at", "misfire", "backfill_max", "overlap",
    "jitter_ms",
)  # fmt: skip


async def create(queue: PyQueue, command: commands.ScheduleCreate) -> bytes:
    """Makes a schedule, or gives one of that name a new definition."""
    job_options = None if command.job_options is None else commands.given(command.job_options)
    if job_options and "metadata" in job_options:
        job_options["metadata"] = msgspec.json.decode(job_options["metadata"])
    await queue.acreate_schedule(
        command.name,
        command.queue,
        command.job_name,
        command.job_data,
        fires_at_once=command.fires_at_once,
        job_options=cast("JobOptions | None", job_options),
        **{option: getattr(command, option) for option in _OPTIONS},
    )
    return replies.OK


async def list_all(queue: PyQueue, command: commands.ScheduleList) -> bytes:
    return _encode({"ok": True, "schedules": list(map(schedule_object, await queue.alist_schedules()))})


async def get(queue: PyQueue, command: commands.ScheduleGet) -> bytes:
    """One schedule; a missing one is NOT_FOUND here, which the published clients turn into null."""
    try:
        return _encode({"ok": True, "schedule": schedule_object(await queue.aget_schedule(command.name))})
    except ScheduleNotFound as missing:
        return replies.refused("NOT_FOUND", str(missing))


async def delete(queue: PyQueue, command: commands.ScheduleDelete) -> bytes:
    """Also well if there was none."""
    await queue.adelete_schedule(command.name)
    return replies.OK


async def pause(queue: PyQueue, command: commands.SchedulePause) -> bytes:
    await queue.apause_schedule(command.name)
    return replies.OK


async def resume(queue: PyQueue, command: commands.ScheduleResume) -> bytes:
    await queue.aresume_schedule(command.name)
    return replies.OK
