"""The engine's own migration steps as what Django's migrations do to the database."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from pyqueue.contrib.django.configuration import configuration
from pyqueue.contrib.django.queues import hosted_by


class RunSteps(migrations.RunPython):  # type: ignore[misc]  # Django comes without types
    """Takes the tables to a version of the engine; does nothing where the engine has done so itself.

    Only in the database that holds the queue. There is no way back: restore a backup.
    """

    def __init__(self, up_to: int) -> None:
        self.up_to = up_to

        def migrate(_: Any, editor: Any) -> None:
            configured = configuration()
            if configured.storage is None and configured.database == editor.connection.alias:
                hosted_by(configured.database).migrate(up_to)

        super().__init__(migrate)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.up_to], {}
