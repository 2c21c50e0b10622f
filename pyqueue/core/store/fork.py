"""Forked children: what a handle holds of connections, locks and threads belongs to the parent."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Forkable(Protocol):
    """Something that must begin afresh in a forked child."""

    def after_fork(self) -> None: ...


_watched: Final[weakref.WeakSet[Forkable]] = weakref.WeakSet()


def watch(owner: Forkable) -> None:
    """Calls `owner.after_fork()` in every child forked from now on, before any of its own code runs."""
    if not _watched and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_begin_afresh)
    _watched.add(owner)


def _begin_afresh() -> None:
    for owner in list(_watched):
        owner.after_fork()
