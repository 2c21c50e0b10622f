"""What the shop keeps."""

import uuid

from django.db import models
from django.urls import reverse


class Order(models.Model):
    """An order. Its address cannot be guessed, so whoever has it may look at the order."""

    class Item(models.TextChoices):
        TEA = "tea", "Tea, 4.50"
        COFFEE = "coffee", "Coffee, 5.20"
        COCOA = "cocoa", "Cocoa, 3.90"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField()
    item = models.CharField(max_length=20, choices=Item.choices)
    ordered_at = models.DateTimeField(auto_now_add=True)
    receipt_sent_at = models.DateTimeField(null=True, editable=False)
    card = models.FileField(upload_to="cards", blank=True, editable=False)
    card_job = models.CharField(max_length=36, editable=False)

    def __str__(self) -> str:
        return f"{self.item} for {self.email}"

    def get_absolute_url(self) -> str:
        return reverse("order", args=[self.pk])


class SalesReport(models.Model):
    """What was sold on a day."""

    day = models.DateField(unique=True)
    orders = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.orders} orders"
