"""A Django project on the database that the environment names."""

from __future__ import annotations

import json
import os
from typing import Any

SECRET_KEY = "of no use to anybody"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "pyqueue.contrib.django", "shop"]
DATABASES: dict[str, dict[str, Any]] = {"default": json.loads(os.environ["SHOP_DATABASE"])}
PYQUEUE: dict[str, Any] = json.loads(os.environ.get("SHOP_PYQUEUE", "{}"))
TASKS = {"default": {"BACKEND": "pyqueue.contrib.django.tasks.PyQueueBackend", "QUEUES": []}}
