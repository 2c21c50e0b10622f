"""Jobs, queues and schedules in Django's admin: looked at through the ORM, changed by the engine."""

from pyqueue.contrib.django.admin.jobs import JobAdmin
from pyqueue.contrib.django.admin.queues import QueueAdmin
from pyqueue.contrib.django.admin.schedules import ScheduleAdmin

__all__ = ["JobAdmin", "QueueAdmin", "ScheduleAdmin"]
