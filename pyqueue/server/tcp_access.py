"""Who may do what over TCP: the roles that commands need, and the jobs that they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from pyqueue.server import tcp_commands as commands
from pyqueue.server.tcp_commands import Refusal
from pyqueue.web.request import EVERYTHING, Grant, Role

# What a token, sent from an address, grants; None for one that is not known.
Admit = Callable[[str, str], Grant | None]

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


def require(grant: Grant | None, command: Any) -> None:
    """Lets pass what this client may do, as far as the command itself tells.

    Raises:
        Refusal: UNAUTHORIZED before `auth`, FORBIDDEN for what the token does not allow.
    """
    if grant is EVERYTHING:
        return
    if grant is None:
        raise Refusal("UNAUTHORIZED", 'Authentication required: send {"cmd":"auth","token":"…"} first.')
    role = _ROLES.get(type(command), Role.WORK)
    if type(command) is commands.Ping:
        return
    if not grant.allows(role):
        raise Refusal("FORBIDDEN", f"token {grant.name!r} lacks the role {role.value!r}.")
    queue = getattr(command, "queue", None)
    if queue is not None and not grant.reaches(queue):
        raise Refusal("FORBIDDEN", f"token {grant.name!r} does not reach the queue {queue[:80]!r}.")
    if queue is None and grant.queues is not None and not names_jobs(command):
        raise Refusal("FORBIDDEN", f"token {grant.name!r} reaches some queues only, and this command names none.")


def names_jobs(command: Any) -> bool:
    """It is about jobs by their ids, so only a look at them tells their queues."""
    return hasattr(command, "id") or hasattr(command, "ids") or hasattr(command, "items")


def jobs_of(command: Any) -> Sequence[str]:
    """The ids that a command names."""
    if hasattr(command, "id"):
        return [command.id]
    items = getattr(command, "items", None)
    return [item.id for item in items] if items is not None else getattr(command, "ids", None) or []
