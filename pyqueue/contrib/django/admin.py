"""Jobs, queues and schedules in Django's admin: looked at through the ORM, changed by the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.utils.functional import cached_property

from pyqueue.contrib.django import html
from pyqueue.contrib.django.handle import current
from pyqueue.contrib.django.models import Attempt, Job, LogEntry, Queue, Schedule, Tag
from pyqueue.core.errors import PyQueueError

# Pages are counted up to here: a count of all history would take longer than the page.
_COUNTED_MAX: Final = 10_000
# The fields behind what is shown in another form.
_SHOWN_AS: Final = {
    "due": "run_at",
    "started": "started_at",
    "beaten": "heartbeat_at",
    "ended": "completed_at",
    "expires": "expires_at",
    "outcome": "result",
}


class CappedPaginator(Paginator):  # type: ignore[misc]  # Django comes without types
    """Counts no further than somebody turns pages."""

    @cached_property
    def count(self) -> int:
        """How many there are, or the most that are shown."""
        return len(self.object_list.order_by()[:_COUNTED_MAX].values_list("pk"))


def moment_of(field: str) -> Any:
    """A column with a moment; Django takes the field itself for a number."""

    @admin.display(description=field.replace("_", " "), ordering=field)
    def shown(_: Any, row: Any) -> str | None:
        return html.moment(getattr(row, field))

    return shown


class ReadAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """What is only read; the right to change it is that to use its actions."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50

    class Media:
        css: ClassVar = {"all": ["pyqueue/admin.css"]}

    def has_add_permission(self, request: Any) -> bool:
        """Jobs are pushed by code."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """Rows are not deleted one by one; see the actions."""
        return False

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        """All."""
        return [*(field.name for field in self.model._meta.fields), *self.readonly_fields]

    def changeform_view(
        self, request: Any, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Without buttons that save."""
        hidden = {"show_save": False, "show_save_and_continue": False, "show_close": True}
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **hidden})

    def act(self, request: Any, rows: Iterable[Any], done: str, action: Callable[[Any], object]) -> None:
        """Does something to each row, says how it went, and notes what was done."""
        refusals: list[str] = []
        changed = 0
        for row in rows:
            try:
                action(row)
            except PyQueueError as error:
                refusals.append(str(error))
            else:
                changed += 1
                self.log_change(request, row, done)
        if changed:
            self.message_user(request, f"{changed} {done}", messages.SUCCESS)
        for refusal in dict.fromkeys(refusals):
            self.message_user(request, refusal, messages.ERROR)


@admin.register(Job)
class JobAdmin(ReadAdmin):
    """Jobs, the newest first."""

    list_display = ("name", "queue", "status", "attempts", "advance", "pushed", "ended", "job_id")
    list_filter = ("state",)
    search_fields = ("name",)
    search_help_text = "The id of a job, its exact name, its queue, a tag, or the custom id that it was given."
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

    @admin.display(description="state", ordering="state")
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

    @admin.display(description="pushed at", ordering="id")
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
        """By what has an index first: id, custom id, tag; then by name or queue."""
        if not search_term:
            return queryset, False
        by_index: tuple[Callable[[], Any], ...] = (
            lambda: Job.objects.by_job_id(search_term),
            lambda: Job.objects.filter(custom_id=search_term),
            lambda: Job.objects.filter(id__in=Tag.objects.filter(tag=search_term).values("job_id")),
        )
        for found in by_index:
            try:
                keys = list(found().values_list("id", flat=True)[:_COUNTED_MAX])
            except PyQueueError:
                continue  # It is no id.
            if keys:
                return queryset.filter(id__in=keys), False
        return queryset.filter(name=search_term) | queryset.filter(queue=search_term), False

    @admin.action(description="Retry the selected jobs", permissions=["change"])
    def retry(self, request: Any, jobs: Any) -> None:
        """Dead letters, and what else has ended."""
        self.act(request, jobs, "retried", lambda job: current().retry(job.job_id))

    @admin.action(description="Cancel the selected jobs", permissions=["change"])
    def cancel(self, request: Any, jobs: Any) -> None:
        """Also those that run."""
        self.act(request, jobs, "cancelled", lambda job: current().cancel(job.job_id))

    @admin.action(description="Delete the selected jobs", permissions=["remove"])
    def remove(self, request: Any, jobs: Any) -> None:
        """For good."""
        self.act(request, jobs, "deleted", lambda job: current().delete(job.job_id))

    def has_remove_permission(self, request: Any) -> bool:
        """The right to delete jobs."""
        return bool(request.user.has_perm("pyqueue.delete_job"))


@admin.register(Queue)
class QueueAdmin(ReadAdmin):
    """Queues that are, or were, paused or limited."""

    list_display = ("name", "waiting", "active", "dead", "pushes_paused_at", "pulls_paused_at")
    actions = ("pause", "resume", "requeue")

    @admin.display
    def waiting(self, queue: Queue) -> int:
        """Jobs that can be pulled."""
        return current().stats(queue.name).waiting

    @admin.display
    def active(self, queue: Queue) -> int:
        """Jobs that run."""
        return current().stats(queue.name).active

    @admin.display(description="dead letters")
    def dead(self, queue: Queue) -> int:
        """Jobs that have used up their attempts."""
        return current().stats(queue.name).dlq

    @admin.action(description="Hand out no more jobs of the selected queues", permissions=["change"])
    def pause(self, request: Any, queues: Any) -> None:
        """Pushes go on."""
        self.act(request, queues, "paused", lambda queue: current().pause(queue.name, pushes=False, pulls=True))

    @admin.action(description="Resume the selected queues", permissions=["change"])
    def resume(self, request: Any, queues: Any) -> None:
        """Pushes and pulls."""
        self.act(request, queues, "resumed", lambda queue: current().resume(queue.name))

    @admin.action(description="Retry all dead letters of the selected queues", permissions=["change"])
    def requeue(self, request: Any, queues: Any) -> None:
        """All at once."""
        self.act(request, queues, "retried", lambda queue: current().retry_dlq(queue.name))


@admin.register(Schedule)
class ScheduleAdmin(ReadAdmin):
    """Schedules, by hand and in code."""

    list_display = ("name", "queue", "job_name", "cron_expr", "every_ms", "next_run_at", "last_run_at", "paused_at")
    actions = ("run", "pause", "resume")

    @admin.action(description="Run the selected schedules now", permissions=["change"])
    def run(self, request: Any, schedules: Any) -> None:
        """Beside their moments."""
        self.act(request, schedules, "run", lambda schedule: current().trigger_schedule(schedule.name))

    @admin.action(description="Pause the selected schedules", permissions=["change"])
    def pause(self, request: Any, schedules: Any) -> None:
        """Until they are resumed."""
        self.act(request, schedules, "paused", lambda schedule: current().pause_schedule(schedule.name))

    @admin.action(description="Resume the selected schedules", permissions=["change"])
    def resume(self, request: Any, schedules: Any) -> None:
        """From now on."""
        self.act(request, schedules, "resumed", lambda schedule: current().resume_schedule(schedule.name))
