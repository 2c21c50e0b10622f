"""A small project on SQLite. What pyqueue needs of it is marked."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent
# The file of the project, with its orders and its jobs. Other programs may have their jobs in it too.
DATABASE = Path(os.environ.get("PYQUEUE_STORAGE") or BASE_DIR / "shop.db").absolute()

DEBUG = True
SECRET_KEY = "an example: make your own"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "config.urls"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "pyqueue.contrib.django",  # pyqueue: its tables, its commands, its pages in the admin
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
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
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        # pyqueue: a request that reads and then writes must not meet a worker half-way.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}

STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = DATABASE.parent / "media"
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATABASE.parent / "mail"
DEFAULT_FROM_EMAIL = "shop@example.com"
MANAGERS = [("The managers", "managers@example.com")]
