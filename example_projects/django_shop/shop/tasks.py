"""The jobs of the shop. A job may run twice (a worker died in the middle of it), so each can bear to."""

from datetime import date, timedelta
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.mail import mail_managers, send_mail
from django.utils import timezone

from pyqueue import JobContext
from pyqueue.contrib.django import task, tasks

from .models import Order, SalesReport
from .pictures import HEIGHT, drawn_rows, png


@task(queue="emails", max_attempts=5)
def send_receipt(ctx: JobContext, order_id: UUID) -> None:
    """Mails a receipt. `once` remembers that it did, should the rest fail and be tried again."""
    order = Order.objects.get(pk=order_id)
    ctx.once("mail", send_mail, "Your receipt", f"Thank you: {order.get_item_display()}", None, [order.email])
    order.receipt_sent_at = timezone.now()
    order.save(update_fields=["receipt_sent_at"])


@task(queue="pictures", timeout_ms=60_000)
def draw_card(ctx: JobContext, order_id: UUID) -> str:
    """Draws a card that no other order has, and says how far it is."""
    rows = []
    for row in drawn_rows(order_id.int):
        rows.append(row)
        if len(rows) % 25 == 0:
            ctx.progress(100 * len(rows) // HEIGHT, f"{len(rows)} of {HEIGHT} rows drawn")
    order = Order.objects.get(pk=order_id)
    order.card.save(f"{order_id}.png", ContentFile(png(rows)), save=False)
    order.save(update_fields=["card"])
    return order.card.name


@tasks.cron("0 3 * * *")
@task(queue="reports")
def report_sales(day: date | None = None) -> int:
    """Counts the orders of a day, by default yesterday's: every night at three."""
    day = day or timezone.localdate() - timedelta(days=1)
    report, _ = SalesReport.objects.update_or_create(
        day=day, defaults={"orders": Order.objects.filter(ordered_at__date=day).count()}
    )
    mail_managers("Sales", str(report))
    return report.orders
