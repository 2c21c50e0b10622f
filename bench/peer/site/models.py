"""What a request writes besides its job."""

from __future__ import annotations

from django.db import models


class Order(models.Model):  # type: ignore[misc]  # Django comes without types
    """An order."""

    email = models.TextField()
