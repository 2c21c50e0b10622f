"""The settings of a Django project that has nothing but django-tasks-db, on PostgreSQL."""

from __future__ import annotations

import os

from psycopg.conninfo import conninfo_to_dict

_found = conninfo_to_dict(os.environ["BENCH_FILE"])

SECRET_KEY = "bench"
USE_TZ = True
INSTALLED_APPS = ["django_tasks_db"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["bench"]}}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **{
            ours: str(_found[theirs])
            for ours, theirs in (("NAME", "dbname"), ("USER", "user"), ("HOST", "host"), ("PORT", "port"))
            if theirs in _found
        },
    }
}
