"""The app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """`shop`, whose `tasks.py` pyqueue finds by itself."""

    name = "shop"
