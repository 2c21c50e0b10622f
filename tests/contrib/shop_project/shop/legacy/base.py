"""A database of a kind that cannot hold a queue, for which no driver is needed: nobody connects to it."""

from __future__ import annotations

from django.db.backends.dummy import base


class DatabaseWrapper(base.DatabaseWrapper):  # type: ignore[misc]  # Django comes without types
    """What Django says of MySQL."""

    vendor = "mysql"
