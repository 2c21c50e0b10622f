"""The pages that the contract of all adapters asks for: see tests/contrib/contract.py."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from pyqueue.contrib.django import queue
from pyqueue.contrib.django.api import api_urls
from pyqueue.testing import eager, in_memory


def order(request: HttpRequest) -> Any:
    """Takes an order, and may fail after it."""
    from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs
    from shop.tasks import send_receipt  # type: ignore[import-not-found]

    with transaction.atomic():
        made = Order.objects.create(email=request.GET["email"])
        pushed = send_receipt.push(made.pk)
        if "fails" in request.GET:
            raise LookupError("nothing left")
    return JsonResponse({"order": made.pk, "job": pushed})


async def aorder(request: HttpRequest) -> Any:
    """Takes an order on the event loop."""
    from shop.models import Order
    from shop.tasks import send_receipt

    made = await Order.objects.acreate(email=request.GET["email"])
    return JsonResponse({"order": made.pk, "job": await send_receipt.apush(made.pk)})


def show(_: HttpRequest, order_id: int) -> Any:
    """Shows an order."""
    from shop.models import Order

    found = Order.objects.get(pk=order_id)
    return JsonResponse({"email": found.email, "is_receipt_sent": found.is_receipt_sent})


def failure(_: HttpRequest) -> Any:
    """Pushes what fails."""
    from shop.tasks import fail

    return JsonResponse({"job": fail.push()})


def eagerly(_: HttpRequest) -> Any:
    """Runs a job at once."""
    from shop.tasks import greet

    with in_memory(queue), eager(queue):
        return JsonResponse({"result": greet.push("you").job().result})


urlpatterns = [
    path("orders", csrf_exempt(order)),
    path("aorders", csrf_exempt(aorder)),
    path("orders/<int:order_id>", show),
    path("failures", csrf_exempt(failure)),
    path("eager", csrf_exempt(eagerly)),
    path("jobs/", include(api_urls(lambda request: request.headers.get("X-Access", "none")))),
]
