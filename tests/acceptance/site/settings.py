"""Django's settings of the tests' shop; what differs between tests is JSON in the environment."""

import json
import os

SECRET_KEY = "only for the tests, and long enough for every check"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "tests.acceptance.site.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "durian",
    "tests.acceptance.site",
]
DATABASES = {"default": json.loads(os.environ["TEST_DATABASE"])}
DURIAN = json.loads(os.environ["TEST_DURIAN"])
LOGGING = json.loads(os.environ.get("TEST_LOGGING", "{}"))
