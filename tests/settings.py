"""Django's settings for the tests. What they say of databases is completed in conftest.py."""

from typing import Any

import django

SECRET_KEY = "only for the tests, and long enough for every check"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.urls"
LOGIN_URL = "login"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Hashing passwords slowly is not what is tested.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "durian",
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
            ],
        },
    },
]

# Two databases, since durian serves sites with several; each test of tests/integration that uses
# a database runs with PostgreSQL as the default one and with SQLite. Their addresses are set
# when the first such test runs: tests/unit needs no server.
SQLITE_OPTIONS: dict[str, Any] = {"timeout": 20}
if django.VERSION >= (5, 1):
    SQLITE_OPTIONS["transaction_mode"] = "IMMEDIATE"
DATABASES: dict[str, dict[str, Any]] = {
    "default": {"ENGINE": "django.db.backends.postgresql"},
    "other": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": SQLITE_OPTIONS},
}

DURIAN = {
    "OUTBOX_DATABASES": ["default", "other"],
    # Tests start the relay themselves, and their receivers listen on 127.0.0.1.
    "RELAY": "off",
    "ALLOW_NETWORKS": ["127.0.0.0/8"],
}
