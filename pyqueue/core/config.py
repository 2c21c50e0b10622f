"""Where a queue lives: the URL or path given to `PyQueue`, parsed."""

from __future__ import annotations

import os
from typing import Final

from pyqueue.core.errors import ConfigError
from pyqueue.core.store.sqlite import Durability
from pyqueue.core.validate import shown

MEMORY: Final = ":memory:"
DURABILITIES: Final[tuple[Durability, ...]] = ("power", "process")


def sqlite_path(url: str | os.PathLike[str]) -> str:
    """The absolute path of a SQLite file from `jobs.db`, `/var/jobs.db`, `sqlite:///jobs.db` or `sqlite:////var/jobs.db`.

    Three slashes are followed by a path relative to the working directory, four by an absolute one, as in SQLAlchemy.

    Raises:
        ConfigError: another scheme, no path, or a query nobody reads.
    """
    text = os.fspath(url)
    if not isinstance(text, str) or not text:
        raise ConfigError(
            f"storage {shown(url)}; expected a path such as 'jobs.db' or a URL such as 'sqlite:///jobs.db'."
        )
    if text == MEMORY:
        return MEMORY
    if "://" not in text:
        return os.path.abspath(text)
    from urllib.parse import unquote, urlsplit  # 5 ms, and most give a path

    parts = urlsplit(text)
    if parts.scheme != "sqlite":
        raise ConfigError(
            f"storage URL {shown(text)} has the scheme {parts.scheme!r}; expected a path or 'sqlite:///…'."
        )
    if parts.netloc or len(parts.path) < 2 or parts.query or parts.fragment:
        raise ConfigError(
            f"storage URL {shown(text)}; expected 'sqlite:///relative.db' or 'sqlite:////absolute.db' and nothing else."
        )
    return os.path.abspath(unquote(parts.path[1:]))


def durability(value: str) -> Durability:
    """`power` or `process`.

    Raises:
        ConfigError.
    """
    for known in DURABILITIES:
        if value == known:
            return known
    raise ConfigError(
        f"durability {shown(value)}; expected 'power' (survives power loss) or 'process' (survives kill -9)."
    )
