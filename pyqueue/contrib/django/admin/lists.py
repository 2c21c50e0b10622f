"""Lists of jobs that cost the same at any size: pages begin where others end, and nothing is counted row by row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connections
from django.db.models import F
from django.utils import timezone

from pyqueue.contrib.django.handle import current
from pyqueue.core import ids
from pyqueue.core.clock import from_datetime
from pyqueue.core.states import STATES, JobState

OLDER, NEWER = "older", "newer"
_BY_STATE: Final = "state__exact"
# What is not shown in a list, and may be large.
LARGE: Final = ("data", "result", "metadata", "extras", "last_error")
# How far jobs are counted one by one, and how many are sorted for a page. Both take some milliseconds; PostgreSQL
# fetches each row to see its key, which SQLite's indexes hold.
_COUNTED_MAX: Final = 10_000
_SORTED_MAX: Final = {"sqlite": 100_000, "postgresql": 10_000}


class QueueFilter(admin.SimpleListFilter):  # type: ignore[misc]  # Django comes without types
    """By queue, of those that the engine knows."""

    title, parameter_name = "queue", "queue"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        self.known = {info.name: info.counts for info in current().queues()}
        return [(name, name) for name in self.known]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset if self.value() is None else queryset.filter(queue=self.value())


class PushedFilter(admin.SimpleListFilter):  # type: ignore[misc]
    """By when they were pushed, which their keys tell."""

    title, parameter_name = "pushed", "pushed"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "within an hour"), ("24", "within a day"), ("168", "within 7 days"), ("720", "within 30 days")]

    def queryset(self, request: Any, queryset: Any) -> Any:
        if self.value() not in dict(self.lookup_choices):
            return queryset
        since = timezone.now() - timedelta(hours=int(self.value()))
        return queryset.filter(id__gte=ids.first_key(from_datetime(since)))


class JobList(ChangeList):  # type: ignore[misc]
    """A page of jobs, the newest first. Its keys are found by an index alone, and then its rows by their keys."""

    def get_queryset(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        for place in (OLDER, NEWER):  # They are no filters, and no part of the links to others.
            self.params.pop(place, None)
            self.filter_params.pop(place, None)
        return super().get_queryset(request, *args, **kwargs)

    def get_results(self, request: Any) -> None:
        size = self.list_per_page
        older_than, newer_than = _key(request, OLDER), _key(request, NEWER)
        known = self._known()
        keys = self._keys(size + 1, older_than, newer_than, known) if known else []
        has_more = len(keys) > size
        keys = keys[:size]
        if newer_than is not None:
            keys.reverse()
        is_first = older_than is None and (newer_than is None or not has_more)
        is_last = newer_than is None and not has_more
        self.result_list = list(self.root_queryset.filter(pk__in=keys).order_by("-pk").defer(*LARGE))
        self.newer_link = None if is_first or not keys else self.get_query_string({NEWER: keys[0]})
        self.older_link = None if is_last or not keys else self.get_query_string({OLDER: keys[-1]})
        self.total = len(keys) if is_first and is_last else self._total(known)
        self.result_count = len(keys) if self.total is None else self.total
        self.is_capped = self._narrows() and self.total == _COUNTED_MAX
        self.full_result_count, self.show_full_result_count, self.show_admin_actions = None, False, True
        self.can_show_all = self.multi_page = False
        self.paginator = None

    def _keys(self, limit: int, older_than: int | None, newer_than: int | None, known: int) -> list[int]:
        """Keys from a place on, in the direction that is read."""
        rows, key = self.queryset.order_by(), "pk"
        if self._has_index() and known <= _SORTED_MAX[connections[self.queryset.db].vendor]:
            # Not by the order of the primary key, in which the few would be looked for among all jobs: SQLite
            # takes that for the cheaper way, and PostgreSQL may, when what it looks for is old.
            rows, key = rows.annotate(key=F("pk") + 0), "key"
        if newer_than is not None:
            rows = rows.filter(**{f"{key}__gt": newer_than}).order_by(key)
        elif older_than is not None:
            rows = rows.filter(**{f"{key}__lt": older_than}).order_by(f"-{key}")
        else:
            rows = rows.order_by(f"-{key}")
        return list(rows.values_list("pk", flat=True)[:limit])

    def _known(self) -> int:
        """How many jobs the engine has counted of this state and queue."""
        state, queue = self._state(), self._queue()
        known = (each for spec in self._specs(QueueFilter) for each in spec.known.items())
        counts = [found for name, found in known if queue in (None, name)]
        return sum(int(each.total if state is None else getattr(each, state.value)) for each in counts)

    def _total(self, known: int) -> int | None:
        """How many jobs are on all pages; None where only looking at all could tell."""
        if not self._narrows():
            return known
        return len(self.queryset.order_by().values_list("pk")[:_COUNTED_MAX]) if self._has_index() else None

    def _narrows(self) -> bool:
        """Whether more is asked than the engine counts by."""
        return bool(self.query) or any(spec.value() for spec in self._specs(PushedFilter))

    def _has_index(self) -> bool:
        return self._state() not in (None, JobState.COMPLETED)

    def _state(self) -> JobState | None:
        given = self.params.get(_BY_STATE, "")
        return STATES[int(given)] if given.isdigit() and int(given) < len(STATES) else None

    def _queue(self) -> str | None:
        return next((spec.value() for spec in self._specs(QueueFilter)), None)

    def _specs(self, kind: type) -> Sequence[Any]:
        return [spec for spec in self.filter_specs if isinstance(spec, kind)]


def _key(request: Any, name: str) -> int | None:
    given = request.GET.get(name, "")
    return int(given) if given.isdigit() and len(given) < 20 else None
