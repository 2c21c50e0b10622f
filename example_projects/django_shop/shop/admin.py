"""Orders and reports in the admin. Jobs, queues and schedules bring their own pages."""

from django.contrib import admin

from .models import Order, SalesReport


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, the newest first."""

    list_display = ("email", "item", "ordered_at", "receipt_sent_at")
    ordering = ("-ordered_at",)
    readonly_fields = ("ordered_at", "receipt_sent_at", "card", "card_job")


@admin.register(SalesReport)
class SalesReportAdmin(admin.ModelAdmin):
    """Reports, the newest first."""

    list_display = ("day", "orders")
    ordering = ("-day",)
