"""What the pages of the admin have in common: rows are only read, and actions go through the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.db import transaction

from pyqueue.contrib.django import html
from pyqueue.contrib.django.configuration import configuration
from pyqueue.core.errors import PyQueueError

# Rows that one request acts on, and those that it does so to in one transaction: others write between two of them.
ACTED_ON_MAX: Final = 10_000
_TOGETHER: Final = 200
_SHOWN_REFUSALS: Final = 5


def moment_of(field: str) -> Any:
    """A column with a moment; Django takes the field itself for a number."""

    @admin.display(description=field.replace("_", " "))
    def shown(_: Any, row: Any) -> str | None:
        return html.moment(getattr(row, field))

    return shown


class EngineAdmin(admin.ModelAdmin):  # type: ignore[misc]  # Django comes without types
    """What is only read here; each action has a permission of its own."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    class Media:
        css: ClassVar = {"all": ["pyqueue/admin.css"]}

    def has_module_permission(self, request: Any) -> bool:
        """A queue with a storage of its own has no tables here to look at."""
        return configuration().storage is None and super().has_module_permission(request)

    def has_add_permission(self, request: Any) -> bool:
        """By the engine only."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """By the engine only."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """By the engine only."""
        return False

    def may(self, request: Any, codename: str) -> bool:
        """Whether the user has a permission of this app."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.{codename}"))

    def act(
        self,
        request: Any,
        rows: Iterable[Any],
        done: str,
        action: Callable[[Any], object],
        *,
        log: Callable[[Any, Any, str], object] | None = None,
    ) -> None:
        """Does something to each row, says how it went, and notes what was done (by `log`, or as a change)."""
        refusals: list[str] = []
        changed = 0
        left = iter(rows)
        while some := list(islice(left, _TOGETHER)):
            with _one_commit():
                for row in some:
                    try:
                        action(row)
                    except PyQueueError as error:
                        refusals.append(str(error))
                    else:
                        changed += 1
                        (log or self.log_change)(request, row, done)
        if changed:
            self.message_user(request, f"{changed:,} {done}", messages.SUCCESS)
        different = list(dict.fromkeys(refusals))
        for refusal in different[:_SHOWN_REFUSALS]:
            self.message_user(request, refusal, messages.ERROR)
        if len(different) > _SHOWN_REFUSALS:
            self.message_user(request, f"{len(refusals):,} were refused; these are the first.", messages.ERROR)


def _one_commit() -> AbstractContextManager[Any]:
    """One commit for what is done in the block, where that is on a connection of Django's."""
    settings = configuration()
    return nullcontext() if settings.storage is not None else transaction.atomic(using=settings.database)
