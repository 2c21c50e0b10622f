"""Forked children: what a handle holds of connections, locks and threads belongs to the parent.

SQLite keeps the locks of a file once per process. A child that inherits open connections inherits the belief to
hold their locks, which the system has left with the parent: the parent, closing, would take itself for the last
and delete the log that the child writes to. So a fork waits for the connections to be at rest, and the child
closes its copies of them before it opens its own.
"""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Forkable(Protocol):
    """Something that must be at rest when the process forks, and begin afresh in the child."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork(self) -> None: ...


_watched: Final[weakref.WeakSet[Forkable]] = weakref.WeakSet()
_at_rest: Final[list[Forkable]] = []
_hooks: Final[list[str]] = []


def watch(owner: Forkable) -> None:
    """Tells `owner` of every fork from now on, before any code of the child runs."""
    if not _hooks and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_rest, after_in_parent=_go_on, after_in_child=_begin_afresh)
        _hooks.append("registered")
    _watched.add(owner)


def _rest() -> None:
    _at_rest.extend(_watched)
    for owner in _at_rest:
        owner.before_fork()


def _go_on() -> None:
    while _at_rest:
        _at_rest.pop().after_fork_in_parent()


def _begin_afresh() -> None:
    while _at_rest:
        _at_rest.pop().after_fork()
