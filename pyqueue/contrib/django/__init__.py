"""Job queues for Django: `INSTALLED_APPS += ["pyqueue.contrib.django"]`, `manage.py migrate`, `manage.py rqworker`.

from pyqueue.contrib.django import queue, task

@task
def send_receipt(order_id: int) -> None: ...

with transaction.atomic():
    order.save()
    send_receipt.push(order.pk)  # committed or rolled back with the order

Needs the extra `django`. Both names may be imported before the apps are ready.
"""

from pyqueue.contrib.django.handle import queue, task, tasks

__all__ = ["queue", "task", "tasks"]
