"""The pages of the shop."""

from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from pyqueue.contrib.django.models import Job

from .forms import OrderForm
from .models import Order
from .tasks import draw_card, send_receipt


@require_http_methods(["GET", "POST"])
def new_order(request: HttpRequest) -> HttpResponse:
    """Takes an order. Its jobs are stored with it: either all is there, or nothing."""
    form = OrderForm(request.POST or None)
    if not form.is_valid():
        return render(
            request, "shop/new_order.html", {"form": form, "latest": Order.objects.order_by("-ordered_at")[:5]}
        )
    with transaction.atomic():
        order = form.save(commit=False)
        order.card_job = draw_card.push(order.pk)
        order.save()
        send_receipt.push(order.pk)
    return redirect(order)


@require_GET
def show_order(request: HttpRequest, pk: UUID) -> HttpResponse:
    """An order, and how far its jobs are."""
    return render(request, "shop/order.html", {"order": get_object_or_404(Order, pk=pk)})


@require_GET
def order_status(request: HttpRequest, pk: UUID) -> JsonResponse:
    """What the page of an order asks for until all is done."""
    order = get_object_or_404(Order, pk=pk)
    job = Job.objects.by_job_id(order.card_job).first()  # None: done long ago, and cleaned away
    return JsonResponse(
        {
            "receipt_sent": order.receipt_sent_at is not None,
            "card_url": order.card.url if order.card else None,
            "card_state": job.get_state_display() if job else None,
            "card_progress": (job.progress or 0) if job else 100,
        }
    )
