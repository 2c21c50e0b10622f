"""Tasks of `django.tasks`, in a module that is not looked for: it is imported when one of its jobs runs."""

from __future__ import annotations

from typing import Any

import django

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task


@task  # type: ignore[untyped-decorator]  # Django comes without types
def add(first: int, second: int = 0) -> int:
    """Adds."""
    return first + second


@task(priority=5, queue_name="failing")  # type: ignore[untyped-decorator]
def fail(message: str) -> None:
    """Fails."""
    raise LookupError(message)


@task(takes_context=True)  # type: ignore[untyped-decorator]
def attempts(context: Any) -> int:
    """Reports, and says which attempt it is."""
    context.job.progress(10)
    return int(context.attempt)


@task  # type: ignore[untyped-decorator]
async def aadd(first: int, second: int) -> int:
    """Adds on the event loop."""
    return first + second


@task  # type: ignore[untyped-decorator]
async def find_order(order_id: int) -> str:
    """Reads through the ORM."""
    from shop.models import Order  # type: ignore[import-not-found]  # of the project, when it runs

    return str((await Order.objects.aget(pk=order_id)).email)
