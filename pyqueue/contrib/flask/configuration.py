"""The configuration `PYQUEUE_…` of an application, parsed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from flask import Flask

from pyqueue.core import config, validate
from pyqueue.core.config import MEMORY
from pyqueue.core.errors import ConfigError, ValidationError

PREFIX: Final = "PYQUEUE_"
WORKERS_MAX: Final = 1_000


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What is set. The names of the keys are those of the fields in capitals, behind `PYQUEUE_`."""

    storage: str  # as for `PyQueue`; a relative path is below the application's instance folder
    durability: str = "power"
    base_url: str | None = None  # where the application is found: for `url_for` in jobs
    embedded_workers: int = 0  # jobs that a process which serves requests runs at the same time
    eager: bool = False  # for tests: what is pushed has run when push returns


def configuration(app: Flask) -> Configuration:
    """What the application has set.

    Raises:
        ConfigError: a key that is not known, or a value that does not fit.
    """
    given = {key: value for key, value in app.config.items() if key.startswith(PREFIX)}
    if app.testing:
        given.setdefault("PYQUEUE_STORAGE", MEMORY)
    try:
        validate.known_keys(given, _VALUES, "configuration key")
        if given.get("PYQUEUE_STORAGE") is None:
            raise ConfigError(
                "PYQUEUE_STORAGE is not set; expected a path such as 'jobs.db' (below the instance folder), or the URL "
                "of the application's database, so that jobs can be part of its transactions."
            )
        values = {key: _VALUES[key](key, value, app) for key, value in given.items()}
    except ValidationError as error:
        raise ConfigError(f"configuration of {app.name!r}: {error}") from None
    return Configuration(**{key.removeprefix(PREFIX).lower(): value for key, value in values.items()})


def _storage(key: str, value: Any, app: Flask) -> str:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    scheme, is_url, rest = text.partition("://")
    if scheme.partition("+")[0] in ("postgresql", "postgres") and is_url:
        return f"postgresql://{rest}"  # SQLAlchemy puts the driver into the scheme.
    path = config.sqlite_path(text)
    named = unquote(urlsplit(text).path[1:]) if is_url else text
    if path == MEMORY or os.path.isabs(named):
        return path
    os.makedirs(app.instance_path, exist_ok=True)  # As Flask-SQLAlchemy does, whose relative paths begin there too.
    return os.path.join(app.instance_path, named)


def _durability(_: str, value: Any, __: Flask) -> str:
    return config.durability(value)


def _base_url(key: str, value: Any, _: Flask) -> str | None:
    parts = urlsplit(value) if isinstance(value, str) else None
    if value is not None and not (parts and parts.scheme in ("http", "https") and parts.netloc and not parts.query):
        raise ConfigError(f"{key} is {validate.shown(value)}; expected such as 'https://shop.example'.")
    return value  # type: ignore[no-any-return]  # a str, or None


def _workers(key: str, value: Any, _: Flask) -> int:
    return validate.integer(value, key, 0, WORKERS_MAX)


def _eager(key: str, value: Any, _: Flask) -> bool:
    return validate.boolean(value, key)


_VALUES: Final[Mapping[str, Callable[[str, Any, Flask], Any]]] = {
    "PYQUEUE_STORAGE": _storage,
    "PYQUEUE_DURABILITY": _durability,
    "PYQUEUE_BASE_URL": _base_url,
    "PYQUEUE_EMBEDDED_WORKERS": _workers,
    "PYQUEUE_EAGER": _eager,
}
