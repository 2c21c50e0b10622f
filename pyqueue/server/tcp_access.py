"""Who may do what over TCP: the roles that commands need, and what they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pyqueue.core.engine.looking import Places
from pyqueue.server import tcp_commands as commands
from pyqueue.server.tcp_commands import Refusal
from pyqueue.web import reach
from pyqueue.web.errors import Refusal as WebRefusal
from pyqueue.web.request import EVERYTHING, About, Grant, Role

# What a token, sent from an address, grants. Raises a refusal of HTTP for one that is not known.
Admit = Callable[[str, str], Grant]

# What is not here needs `work`: the commands of a worker about the jobs it holds.
_ROLES: Final[dict[type, Role]] = {
    commands.PlainPush: Role.PUSH,
    commands.PlainPushBatch: Role.PUSH,
    commands.Push: Role.PUSH,
    commands.PushBatch: Role.PUSH,
    commands.Cancel: Role.PUSH,
    commands.Stats: Role.READ,
    commands.Get: Role.READ,
    commands.ScheduleList: Role.READ,
    commands.ScheduleGet: Role.READ,
    commands.ScheduleCreate: Role.ADMIN,
    commands.ScheduleDelete: Role.ADMIN,
    commands.SchedulePause: Role.ADMIN,
    commands.ScheduleResume: Role.ADMIN,
    commands.QueuePause: Role.ADMIN,
    commands.QueueResume: Role.ADMIN,
}


_ABOUT_SCHEDULES: Final = frozenset({
    commands.ScheduleCreate, commands.ScheduleGet, commands.ScheduleDelete, commands.SchedulePause,
    commands.ScheduleResume,
})  # fmt: skip


# They answer for each of their jobs.
_BATCHES: Final = frozenset({commands.AckBatch, commands.FailBatch, commands.HeartbeatBatch})


def admitted(admit: Admit | None, token: str, address: str) -> Grant:
    """What this client may do from now on.

    Raises:
        Refusal: UNAUTHORIZED for a wrong token, RATE_LIMITED after too many of them.
    """
    if admit is None:
        return EVERYTHING
    with _translated():
        return admit(token, address)


def require(grant: Grant | None, command: Any) -> About | None:
    """Lets pass what this client may do, as far as the command itself tells; gives what must be looked up yet.

    Raises:
        Refusal: UNAUTHORIZED before `auth`, FORBIDDEN for what the token does not allow.
    """
    if grant is EVERYTHING:
        return None
    if grant is None:
        raise Refusal("UNAUTHORIZED", 'Authentication required: send {"cmd":"auth","token":"…"} first.')
    if type(command) is commands.Ping:
        return None
    role = _ROLES.get(type(command), Role.WORK)
    if not grant.allows(role):
        raise Refusal("FORBIDDEN", f"token {grant.name!r} lacks the role {role.value!r}.")
    if grant.reaches_all:
        return None
    about = about_of(command)
    with _translated():
        reach.require(grant, about)
    return about if reach.looks_up(grant, about) else None


def require_places(grant: Grant, about: About, places: Places) -> frozenset[str]:
    """Lets pass what is in reach, when it is known where the jobs and the schedule are.

    Gives the jobs of a batch that are to be answered as ones that do not exist.

    Raises:
        JobNotFound, ValidationError, Refusal.
    """
    with _translated():
        return reach.require_places(grant, about, places)


@contextmanager
def _translated() -> Iterator[None]:
    """A refusal of HTTP as one of TCP."""
    try:
        yield
    except WebRefusal as refusal:
        raise Refusal(refusal.code, str(refusal)) from None


def about_of(command: Any) -> About:
    """What a command names. The names of its fields tell: all that stand for a job are `id`, `ids` or `items`."""
    return About(
        queue=getattr(command, "queue", None),
        jobs=tuple(_jobs_of(command)),
        schedule=command.name if type(command) in _ABOUT_SCHEDULES else None,
        options=_options_of(command),
        one_by_one=type(command) in _BATCHES,
    )


def _jobs_of(command: Any) -> Sequence[str]:
    if hasattr(command, "id"):
        return [command.id]
    items = getattr(command, "items", None)
    return [item.id for item in items] if items is not None else getattr(command, "ids", None) or []


def _options_of(command: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(command, commands.Push):
        return [command.merged()]
    if isinstance(command, commands.PushBatch):
        return [job.merged() for job in command.jobs]
    if isinstance(command, commands.ScheduleCreate) and command.job_options is not None:
        return [commands.given(command.job_options)]
    return ()
