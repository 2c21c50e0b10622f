"""Who may do what over TCP: what a token allows, as the authentication of the server tells it."""

from __future__ import annotations

from typing import Any, Final, Protocol

from pyqueue.server import tcp_commands as commands
from pyqueue.server.tcp_commands import Refusal


class Access(Protocol):
    """What one client may do."""

    def allows(self, role: str, queue: str | None) -> bool:
        """Whether commands of this role may be used, on this queue (None: the command names a job, not a queue)."""


class Gate(Protocol):
    """Knows the tokens."""

    async def admit(self, token: str, peer: str) -> Access | None:
        """What the token allows, or None if it is none of ours."""


class _Everything:
    """Authentication is off: everything is allowed."""

    def allows(self, role: str, queue: str | None) -> bool:
        return True


EVERYTHING: Final[Access] = _Everything()

# What is not here needs `work`: the commands of a worker about the jobs it holds.
_ROLES: Final[dict[type, str]] = {
    commands.PlainPush: "push",
    commands.PlainPushBatch: "push",
    commands.Push: "push",
    commands.PushBatch: "push",
    commands.Cancel: "push",
    commands.Stats: "read",
    commands.Get: "read",
    commands.QueuePause: "admin",
    commands.QueueResume: "admin",
}


def require(access: Access | None, command: Any) -> None:
    """Lets pass what this client may do.

    Raises:
        Refusal: UNAUTHORIZED before `auth`, FORBIDDEN for what the token does not allow.
    """
    if access is EVERYTHING:
        return
    if access is None:
        raise Refusal("UNAUTHORIZED", 'Authentication required: send {"cmd":"auth","token":"…"} first.')
    role = _ROLES.get(type(command), "work")
    queue = getattr(command, "queue", None)
    if type(command) is not commands.Ping and not access.allows(role, queue):
        place = "" if queue is None else f" on queue {queue[:80]!r}"
        raise Refusal("FORBIDDEN", f"this token does not allow {role!r}{place}; use one that does.")
