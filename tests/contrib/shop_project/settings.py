"""A Django project on the database that the environment names."""

from __future__ import annotations

import json
import os
from typing import Any

SECRET_KEY = "of no use to anybody"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DJANGO = ("admin", "auth", "contenttypes", "sessions", "messages")
INSTALLED_APPS = [*(f"django.contrib.{name}" for name in DJANGO), "pyqueue.contrib.django", "shop"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # Tests log in often.
ROOT_URLCONF = "shop.urls"
STATIC_URL = "static/"
ALLOWED_HOSTS = ["testserver"]
DATABASES: dict[str, dict[str, Any]] = {"default": json.loads(os.environ["SHOP_DATABASE"])}
if "SHOP_JOBS_DATABASE" in os.environ:
    DATABASES["jobs"] = json.loads(os.environ["SHOP_JOBS_DATABASE"])
    DATABASE_ROUTERS = [] if "SHOP_NO_ROUTER" in os.environ else ["pyqueue.contrib.django.router.Router"]
if "SHOP_DJANGO_RQ" in os.environ:  # Where it stands among the apps.
    INSTALLED_APPS.insert({"first": 0, "last": len(INSTALLED_APPS)}[os.environ["SHOP_DJANGO_RQ"]], "django_rq")
    RQ_QUEUES = {"default": {"URL": os.environ.get("SHOP_REDIS", "redis://127.0.0.1:1/0")}}
PYQUEUE: dict[str, Any] = json.loads(os.environ.get("SHOP_PYQUEUE", "{}"))
TASKS = {"default": {"BACKEND": "pyqueue.contrib.django.tasks.PyQueueBackend", "QUEUES": []}}
