"""Jobs in the admin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets

from pyqueue.contrib.django import html
from pyqueue.contrib.django.admin.acting import ACTED_ON_MAX, EngineAdmin, moment_of
from pyqueue.contrib.django.admin.lists import LARGE, JobList, PushedFilter, QueueFilter
from pyqueue.contrib.django.handle import current
from pyqueue.contrib.django.models import Attempt, Job, LogEntry, Tag
from pyqueue.core.errors import PyQueueError

# The fields behind what is shown in another form.
_SHOWN_AS: Final = {
    "due": "run_at",
    "started": "started_at",
    "beaten": "heartbeat_at",
    "ended": "completed_at",
    "expires": "expires_at",
    "outcome": "result",
}
# By a tag, say.
_FOUND_MAX: Final = 10_000
_READ_TOGETHER: Final = 200


@admin.register(Job)
class JobAdmin(EngineAdmin):
    """Jobs, the newest first."""

    list_display = ("name", "queue", "status", "attempts", "advance", "pushed", "ended", "job_id")
    list_filter = ("state", QueueFilter, PushedFilter)
    sortable_by = ()
    change_list_template = "admin/pyqueue/job/change_list.html"
    search_fields = ("name",)
    search_help_text = "The id of a job, its exact name, a tag, or the custom id that it was given."
    ordering = ("-id",)
    actions = ("retry", "cancel", "remove")
    due, started, beaten = moment_of("run_at"), moment_of("started_at"), moment_of("heartbeat_at")
    ended, expires = moment_of("completed_at"), moment_of("expires_at")

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        """All that is shown."""
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        """What it is and does, what became of its runs, and of times and options those it has."""

        def had(*fields: str) -> tuple[str, ...]:
            return tuple(field for field in fields if getattr(obj, _SHOWN_AS.get(field, field), None) is not None)

        times = ("pushed", *had("due", "started", "beaten", "ended", "expires"))
        options = had("timeout_ms", "unique_key", "group_id", "limit_key", "flow_id", "custom_id", "tags", "metadata")
        return (
            (None, {"fields": ("job_id", ("status", "advance"), "arguments", *had("outcome"))}),
            ("Runs", {"fields": ("attempts", *had("worker_id"), "failures", "messages")}),
            ("Times", {"fields": (times,)}),
            ("Options", {"fields": ("priority", *options)}),
        )

    @admin.display(description="state")
    def status(self, job: Job) -> Any:
        """Where it stands."""
        return html.state(job.get_state_display())

    @admin.display(description="progress", empty_value="-")
    def advance(self, job: Job) -> Any:
        """How far it says it is."""
        return html.progress(job.progress)

    @admin.display(description="attempts")
    def attempts(self, job: Job) -> str:
        """Failures, of those it may have."""
        return f"{job.attempt}/{job.max_attempts}"

    @admin.display(description="pushed at")
    def pushed(self, job: Job) -> Any:
        """From the key."""
        return html.moment(job.created_at)

    @admin.display(description="arguments")
    def arguments(self, job: Job) -> Any:
        """The data, to be read."""
        return html.data(job.data)

    @admin.display(description="result")
    def outcome(self, job: Job) -> Any:
        """What it gave, to be read."""
        return html.data(job.result)

    @admin.display(description="failed runs")
    def failures(self, job: Job) -> Any:
        """With their tracebacks."""
        rows = Attempt.objects.filter(job_id=job.id).order_by("number")
        return html.runs((row.failed_at, row.worker_id, row.error) for row in rows) or job.last_error

    @admin.display(description="log")
    def messages(self, job: Job) -> Any:
        """What it has reported."""
        rows = LogEntry.objects.filter(job_id=job.id).order_by("number")
        return html.log((row.logged_at, row.message) for row in rows)

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By what has an index first: id, custom id, tag; then by name."""
        if not search_term:
            return queryset, False
        by_index: tuple[Callable[[], Any], ...] = (
            lambda: Job.objects.by_job_id(search_term),
            lambda: Job.objects.filter(custom_id=search_term),
            lambda: Job.objects.filter(id__in=Tag.objects.filter(tag=search_term).values("job_id")),
        )
        for found in by_index:
            try:
                keys = list(found().values_list("id", flat=True)[:_FOUND_MAX])
            except PyQueueError:
                continue  # It is no id.
            if keys:
                return queryset.filter(id__in=keys), False
        return queryset.filter(name=search_term), False

    @admin.action(description="Retry the selected jobs", permissions=["retry"])
    def retry(self, request: Any, jobs: Any) -> None:
        """Dead letters and cancelled jobs."""
        self.act(request, self._chosen(request, jobs), "retried", lambda job: current().retry(job.job_id))

    @admin.action(description="Cancel the selected jobs", permissions=["cancel"])
    def cancel(self, request: Any, jobs: Any) -> None:
        """Also those that run."""
        self.act(request, self._chosen(request, jobs), "cancelled", lambda job: current().cancel(job.job_id))

    @admin.action(description="Delete the selected jobs", permissions=["remove"])
    def remove(self, request: Any, jobs: Any) -> None:
        """For good."""
        chosen = self._chosen(request, jobs)
        self.act(request, chosen, "deleted", lambda job: current().delete(job.job_id), log=self._log_deletion)

    def has_retry_permission(self, request: Any) -> bool:
        """The right to retry jobs."""
        return self.may(request, "retry_job")

    def has_cancel_permission(self, request: Any) -> bool:
        """The right to cancel jobs."""
        return self.may(request, "cancel_job")

    def has_remove_permission(self, request: Any) -> bool:
        """The right to delete jobs."""
        return self.may(request, "delete_job")

    def get_changelist(self, request: Any, **_: Any) -> type[JobList]:
        """A list for any number of jobs."""
        return JobList

    def _chosen(self, request: Any, jobs: Any) -> Iterator[Job]:
        """The jobs of one request, the newest first; says so where more were selected."""
        keys = list(jobs.order_by("-pk").values_list("pk", flat=True)[: ACTED_ON_MAX + 1])
        if len(keys) > ACTED_ON_MAX:
            text = f"Only the newest {ACTED_ON_MAX:,} were looked at. Do it again for the others, or for a whole queue."
            self.message_user(request, text, messages.WARNING)
        for start in range(0, len(keys[:ACTED_ON_MAX]), _READ_TOGETHER):
            some = keys[start : min(start + _READ_TOGETHER, ACTED_ON_MAX)]
            yield from Job.objects.filter(pk__in=some).order_by("-pk").defer(*LARGE)

    def _log_deletion(self, request: Any, job: Job, _: str) -> None:
        self.log_deletions(request, [job])
