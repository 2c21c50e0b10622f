"""The settings, the same for all queues but for their own."""

from __future__ import annotations

import json
import os
from typing import Any

BENCH_QUEUE = os.environ["BENCH_QUEUE"]
DATABASES: dict[str, dict[str, Any]] = {"default": json.loads(os.environ["BENCH_DATABASE"])}

SECRET_KEY = "bench"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["bench.peer.site"]

if BENCH_QUEUE == "pyqueue":
    INSTALLED_APPS.append("pyqueue.contrib.django")
elif BENCH_QUEUE == "django_tasks_db":
    INSTALLED_APPS.append("django_tasks_db")
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["bench"]}}
elif BENCH_QUEUE == "django_q":
    INSTALLED_APPS.append("django_q")
    Q_CLUSTER = {"name": "bench", "orm": "default", "workers": 1, "timeout": 60, "retry": 120}
elif BENCH_QUEUE == "huey":
    INSTALLED_APPS.append("huey.contrib.djhuey")
    HUEY = {"name": "bench", "results": False, "immediate": False, **json.loads(os.environ["BENCH_HUEY"])}
