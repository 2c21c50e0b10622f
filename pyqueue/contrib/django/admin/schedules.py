"""Schedules in the admin: made, changed, paused and run by the engine."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.forms.models import construct_instance

from pyqueue.contrib.django.admin.acting import EngineAdmin, moment_of
from pyqueue.contrib.django.handle import current
from pyqueue.contrib.django.models import Schedule
from pyqueue.core import limits
from pyqueue.core.definition import definition_of, schedule_name
from pyqueue.core.errors import PyQueueError
from pyqueue.core.schedule import Misfire, Origin, Overlap

_JOB: Final = ("queue", "job_name", "job_data")
_TIMING: Final = ("cron_expr", "timezone", "every_ms", "start_at", "end_at", "max_executions")
_POLICIES: Final = ("misfire", "backfill_max", "overlap", "jitter_ms", "job_options")
_HISTORY: Final = ("origin", "paused", "next_run", "last_run", "execution_count", "last_error")


def _moment() -> forms.SplitDateTimeField:
    return forms.SplitDateTimeField(required=False, widget=AdminSplitDateTime())


class ScheduleForm(forms.ModelForm):  # type: ignore[misc]  # Django comes without types
    """What a schedule does. The engine says whether it can, and stores it."""

    instance: Schedule
    name = forms.CharField(max_length=limits.SCHEDULE_NAME_BYTES_MAX)
    queue = forms.CharField()
    job_name = forms.CharField(label="Job", help_text="The name of the task.")
    job_data = forms.JSONField(label="Arguments", required=False, help_text="JSON, by the names of the parameters.")
    cron_expr = forms.CharField(label="Cron", required=False, help_text="Such as */5 * * * *; or else an interval.")
    timezone = forms.CharField(required=False, help_text="Such as Europe/Zurich, for the cron expression; or else UTC.")
    every_ms = forms.IntegerField(label="Every … ms", required=False)
    start_at, end_at = _moment(), _moment()
    max_executions = forms.IntegerField(required=False)
    misfire = forms.ChoiceField(choices=[(each.value, each.value) for each in Misfire], initial=Misfire.RUN_ONCE.value)
    backfill_max = forms.IntegerField(initial=limits.BACKFILL_DEFAULT)
    overlap = forms.ChoiceField(choices=[(each.value, each.value) for each in Overlap], initial=Overlap.ALLOW.value)
    jitter_ms = forms.IntegerField(label="Jitter, ms", initial=0)
    job_options = forms.JSONField(required=False, help_text='Of each job, such as {"max_attempts": 5}.')

    class Meta:
        model = Schedule
        fields = ("name", *_JOB, *_TIMING, *_POLICIES)

    def clean(self) -> dict[str, Any]:
        """Asks the engine."""
        given: dict[str, Any] = super().clean()
        if not self.errors:
            try:
                if "name" in given:
                    schedule_name(given["name"])
                definition_of(given["queue"], given["job_name"], given["job_data"], self.options())
            except PyQueueError as error:
                raise forms.ValidationError(str(error)) from error
        return given

    def options(self) -> dict[str, Any]:
        """Timing and policies, as the engine takes them; what was left empty is None."""
        given = {field: self.cleaned_data.get(field) for field in (*_TIMING, *_POLICIES)}
        return {field: None if value == "" else value for field, value in given.items()}

    def changes(self) -> dict[str, Any]:
        """What has been changed of a schedule."""
        given = {**{field: self.cleaned_data[field] for field in _JOB}, **self.options()}
        return {field: given[field] for field in self.changed_data if field in given}

    def _post_clean(self) -> None:
        # The checks are those of the engine, and not those of a model that is to be saved.
        if not self.errors:
            self.instance = construct_instance(self, self.instance, self._meta.fields, self._meta.exclude)


@admin.register(Schedule)
class ScheduleAdmin(EngineAdmin):
    """Schedules, by hand and in code."""

    form = ScheduleForm
    list_display = ("name", "queue", "job_name", "cron_expr", "every_ms", "next_run", "last_run", "paused")
    next_run, last_run, paused = moment_of("next_run_at"), moment_of("last_run_at"), moment_of("paused_at")
    search_fields = ("name", "queue", "job_name")
    ordering = ("name",)
    sortable_by = ()
    actions = ("run", "pause", "resume")
    fieldsets = (
        (None, {"fields": ("name", *_JOB)}),
        ("Timing", {"fields": _TIMING}),
        ("Policies", {"fields": _POLICIES}),
        ("History", {"fields": _HISTORY}),
    )

    @admin.action(description="Run the selected schedules now", permissions=["run"])
    def run(self, request: Any, schedules: Any) -> None:
        """Beside their moments."""
        self.act(request, schedules, "run", lambda schedule: current().trigger_schedule(schedule.name))

    @admin.action(description="Pause the selected schedules", permissions=["pause"])
    def pause(self, request: Any, schedules: Any) -> None:
        """Until they are resumed."""
        self.act(request, schedules, "paused", lambda schedule: current().pause_schedule(schedule.name))

    @admin.action(description="Resume the selected schedules", permissions=["pause"])
    def resume(self, request: Any, schedules: Any) -> None:
        """From now on."""
        self.act(request, schedules, "resumed", lambda schedule: current().resume_schedule(schedule.name))

    def has_run_permission(self, request: Any) -> bool:
        """The right to run schedules now."""
        return self.may(request, "run_schedule")

    def has_pause_permission(self, request: Any) -> bool:
        """The right to pause schedules."""
        return self.may(request, "pause_schedule")

    def has_add_permission(self, request: Any) -> bool:
        """Made by hand, beside those in code."""
        return self.may(request, "add_schedule")

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Those in code are changed there: a worker that starts would undo it here."""
        return self.may(request, "change_schedule") and (obj is None or obj.origin != Origin.CODE)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """As for changes."""
        return self.may(request, "delete_schedule") and (obj is None or obj.origin != Origin.CODE)

    def get_readonly_fields(self, request: Any, obj: Any = None) -> tuple[str, ...]:
        """The name is how it is known."""
        return _HISTORY if obj is None else ("name", *_HISTORY)

    def save_model(self, request: Any, obj: Schedule, form: ScheduleForm, change: bool) -> None:
        """By the engine."""
        if change:
            current().edit_schedule(obj.name, **form.changes())
        else:
            job = [form.cleaned_data[field] for field in _JOB]
            current().create_schedule(obj.name, *job, **form.options())

    def delete_model(self, request: Any, obj: Schedule) -> None:
        """By the engine."""
        current().delete_schedule(obj.name)

    def delete_queryset(self, request: Any, queryset: Any) -> None:
        """By the engine."""
        for name in queryset.exclude(origin=Origin.CODE).values_list("name", flat=True):
            current().delete_schedule(name)
