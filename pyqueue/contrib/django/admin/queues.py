"""Queues in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from pyqueue.contrib.django.admin.acting import EngineAdmin
from pyqueue.contrib.django.handle import current
from pyqueue.contrib.django.models import Queue
from pyqueue.core.job import QueueInfo
from pyqueue.core.states import JobState


class QueueList(ChangeList):  # type: ignore[misc]  # Django comes without types
    """All queues that the engine knows. Most have no row: it is made when one is paused or limited."""

    def get_results(self, request: Any) -> None:
        self.result_list = [_as_row(info) for info in current().queues() if self.query in info.name]
        self.result_count = len(self.result_list)
        self.full_result_count, self.show_full_result_count, self.show_admin_actions = None, False, True
        self.can_show_all = self.multi_page = False
        self.paginator = None


@admin.register(Queue)
class QueueAdmin(EngineAdmin):
    """Queues that have jobs, or are paused or limited."""

    list_display = ("linked", "waiting", "delayed", "blocked", "active", "dead", "completed", "paused")
    list_display_links = None
    sortable_by = ()
    search_fields = ("name",)
    actions = ("pause", "stop_pushes", "resume", "requeue")

    @admin.display(description="name")
    def linked(self, row: Queue) -> Any:
        """To its jobs."""
        return format_html('<a href="{}">{}</a>', self._jobs_of(row), row.name)

    @admin.display
    def waiting(self, row: Queue) -> str:
        """Jobs that can be pulled."""
        return f"{row.info.counts.waiting:,}"

    @admin.display
    def delayed(self, row: Queue) -> str:
        """Jobs that are not due."""
        return f"{row.info.counts.delayed:,}"

    @admin.display
    def blocked(self, row: Queue) -> str:
        """Jobs that wait for others."""
        return f"{row.info.counts.blocked:,}"

    @admin.display
    def active(self, row: Queue) -> str:
        """Jobs that run."""
        return f"{row.info.counts.active:,}"

    @admin.display(description="dead letters")
    def dead(self, row: Queue) -> Any:
        """Jobs that have used up their attempts."""
        link = self._jobs_of(row, state__exact=JobState.DLQ.code)
        return format_html('<a href="{}">{}</a>', link, f"{row.info.counts.dlq:,}")

    @admin.display
    def completed(self, row: Queue) -> str:
        """Jobs that are kept after they have ended well."""
        return f"{row.info.counts.completed:,}"

    @admin.display
    def paused(self, row: Queue) -> str:
        """What it refuses."""
        return ", ".join(
            what
            for what, is_paused in (("pushes", row.info.pushes_paused), ("pulls", row.info.pulls_paused))
            if is_paused
        )

    @admin.action(description="Hand out no more jobs of the selected queues", permissions=["pause"])
    def pause(self, request: Any, _: Any) -> None:
        """Pushes go on."""
        self.act(
            request, self._chosen(request), "paused", lambda row: current().pause(row.name, pushes=False, pulls=True)
        )

    @admin.action(description="Refuse pushes to the selected queues", permissions=["pause"])
    def stop_pushes(self, request: Any, _: Any) -> None:
        """What is there is still run."""
        self.act(request, self._chosen(request), "closed to pushes", lambda row: current().pause(row.name))

    @admin.action(description="Resume the selected queues", permissions=["pause"])
    def resume(self, request: Any, _: Any) -> None:
        """Pushes and pulls."""
        self.act(request, self._chosen(request), "resumed", lambda row: current().resume(row.name))

    @admin.action(description="Retry all dead letters of the selected queues", permissions=["retry"])
    def requeue(self, request: Any, _: Any) -> None:
        """However many they are."""
        retried: list[int] = []
        chosen = list(self._chosen(request))
        self.act(
            request,
            chosen,
            "queues: their dead letters retried",
            lambda row: retried.append(current().retry_dlq(row.name)),
        )
        self.message_user(request, f"{sum(retried):,} jobs retried")

    def has_pause_permission(self, request: Any) -> bool:
        """The right to pause queues."""
        return self.may(request, "pause_queue")

    def has_retry_permission(self, request: Any) -> bool:
        """The right to retry jobs."""
        return self.may(request, "retry_job")

    def get_changelist(self, request: Any, **_: Any) -> type[QueueList]:
        """A list of what the engine knows."""
        return QueueList

    def _chosen(self, request: Any) -> Iterable[Queue]:
        names = set(request.POST.getlist(ACTION_CHECKBOX_NAME))
        return [_as_row(info) for info in current().queues() if info.name in names]

    def _jobs_of(self, row: Queue, **filters: Any) -> str:
        place = reverse("admin:pyqueue_job_changelist", current_app=self.admin_site.name)
        return f"{place}?{urlencode({'queue': row.name, **filters})}"


def _as_row(info: QueueInfo) -> Queue:
    row = Queue(name=info.name)
    row.info = info
    return row
