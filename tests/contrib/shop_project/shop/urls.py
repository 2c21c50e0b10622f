"""The pages of the shop: those of the admin, and one that takes an order."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from pyqueue.contrib.django import queue
from pyqueue.contrib.django.admin import JobAdmin, QueueAdmin, ScheduleAdmin
from pyqueue.contrib.django.models import Job, Queue, Schedule


def order(request: HttpRequest) -> Any:
    """Takes an order, and may fail after it."""
    from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs

    queue.push("default", "send-receipt", {"order_id": Order.objects.create(email="a@shop").pk})
    if "fails" in request.GET:
        raise LookupError("nothing left")
    return HttpResponse("thank you")


back_office = admin.AdminSite("back-office")
for model, its_admin in ((Job, JobAdmin), (Queue, QueueAdmin), (Schedule, ScheduleAdmin)):
    back_office.register(model, its_admin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("back-office/", back_office.urls),
    path("order/", order),
    path("", include("shop.pages")),
]
