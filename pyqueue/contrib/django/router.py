"""A database router, for a queue on another alias than `default`."""

from __future__ import annotations

from typing import Any

from pyqueue.contrib.django.configuration import configuration

_LABEL = "pyqueue"


class Router:
    """Looks for the models of pyqueue where `PYQUEUE["DATABASE"]` has them, and lets `migrate` make them only there.

    DATABASE_ROUTERS = ["pyqueue.contrib.django.router.Router"]
    """

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        """For models of ours."""
        return configuration().database if model._meta.app_label == _LABEL else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Nothing, if the queue has a storage of its own."""
        if app_label != _LABEL:
            return None
        settings = configuration()
        return settings.storage is None and settings.database == db
