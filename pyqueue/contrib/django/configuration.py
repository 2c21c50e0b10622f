"""The setting `PYQUEUE`, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from pyqueue.core import validate
from pyqueue.core.errors import ConfigError, PyQueueError

_MEANT: Final = {
    "DATABASE": "an alias in DATABASES",
    "STORAGE": "a path, or a URL as for PyQueue",
    "DURABILITY": "'power' or 'process'",
    "AUTODISCOVER": "the name of a module, or None",
}


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What is set. The names of the setting are those of the fields in capitals."""

    database: str = DEFAULT_DB_ALIAS  # the queue lives on this connection of Django's
    storage: str | None = None  # it lives in a place of its own instead
    durability: str = "power"  # of a storage of its own; Django's connections have their own settings
    autodiscover: str | None = "tasks"  # the module of each app in which tasks are looked for


def configuration() -> Configuration:
    """What the project has set.

    Raises:
        ConfigError: a key that is not known, or a value that does not fit.
    """
    given = getattr(settings, "PYQUEUE", {})
    if not isinstance(given, Mapping):
        raise ConfigError(f"PYQUEUE is {validate.shown(given)}; expected a dict such as {{'DATABASE': 'default'}}.")
    try:
        validate.known_keys(given, _MEANT, "key of PYQUEUE")
    except PyQueueError as error:
        raise ConfigError(f"settings: {error}") from None
    if given.get("STORAGE") is not None and "DATABASE" in given:
        raise ConfigError(
            "PYQUEUE names a DATABASE and a STORAGE; expected one: Django's connection, or a place apart."
        )
    return Configuration(**{key.lower(): _value(key, value) for key, value in given.items()})


def _value(key: str, value: Any) -> Any:
    may_be_none = key in ("STORAGE", "AUTODISCOVER")
    text = str(value) if key == "STORAGE" and value is not None else value
    if not (isinstance(text, str) and text) and not (may_be_none and text is None):
        raise ConfigError(f"PYQUEUE[{key!r}] is {validate.shown(value)}; expected {_MEANT[key]}.")
    return text
