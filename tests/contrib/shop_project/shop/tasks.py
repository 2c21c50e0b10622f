"""The jobs of the shop."""

from __future__ import annotations

import os
import signal
import time

from django.db import transaction

from pyqueue import JobContext
from pyqueue.contrib.django import task, tasks


@task
def send_receipt(order_id: int) -> str:
    """Says so in the order."""
    from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs

    order = Order.objects.get(pk=order_id)
    order.is_receipt_sent = True
    order.save()
    return str(order.email)


@task(queue="slow", backoff_delay_ms=0)
def take_time(order_id: int, seconds: float) -> None:
    """Is still at it when it is looked at."""
    time.sleep(seconds)
    send_receipt(order_id)


@task(max_attempts=2, backoff_delay_ms=0)
def fail() -> None:
    """Never succeeds."""
    raise LookupError("nothing left")


@task(queue="reports")
def report(context: JobContext) -> None:
    """Reports from inside a transaction."""
    with transaction.atomic():
        context.progress(50, "half")


@tasks.cron("0 * * * *", name="hourly")
@task(queue="reports")
def count() -> None:
    """Counts nothing, every hour."""


@task(queue="deadly")
def die() -> None:
    """Takes its process with it."""
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue="loop")
async def greet(name: str) -> str:
    """Runs on the event loop."""
    return f"hello {name}"
