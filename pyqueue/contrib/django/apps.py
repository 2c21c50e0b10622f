"""The Django app."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.core.signals import setting_changed
from django.db.models.signals import post_migrate
from django.utils.module_loading import module_has_submodule


class PyQueueConfig(AppConfig):  # type: ignore[misc]  # Django comes without types
    """`pyqueue.contrib.django`, under the label `pyqueue`."""

    name = "pyqueue.contrib.django"
    label = "pyqueue"
    verbose_name = "Background jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Finds the tasks of all apps."""
        from pyqueue.contrib.django import checks as ours
        from pyqueue.contrib.django.configuration import configuration
        from pyqueue.contrib.django.handle import forget
        from pyqueue.core.errors import ConfigError

        checks.register(ours.check_settings, ours.TAG)
        checks.register(ours.check_database, ours.TAG, checks.Tags.database)
        setting_changed.connect(forget, dispatch_uid="pyqueue")
        post_migrate.connect(_count_anew, sender=self, dispatch_uid="pyqueue")
        try:
            module = configuration().autodiscover
        except ConfigError:
            return  # The check says so, with all else that is wrong.
        if module is not None:
            self._discover(module)

    def _discover(self, name: str) -> None:
        # Not autodiscover_modules: it would take `tasks` of this app, which is a backend, for its tasks.
        for config in apps.get_app_configs():
            if config is not self and config.module is not None and module_has_submodule(config.module, name):
                import_module(f"{config.name}.{name}")


def _count_anew(using: str, **_: Any) -> None:
    """After `flush`, by which TransactionTestCase empties the tables of models."""
    from pyqueue.contrib.django.configuration import configuration
    from pyqueue.contrib.django.queues import hosted_by

    settings = configuration()
    if settings.storage is None and settings.database == using:
        hosted_by(using).count_anew()
