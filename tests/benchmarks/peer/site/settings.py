"""Django's settings of the peer's shop; what a run decides is in the environment."""

import json
import os

SECRET_KEY = "only for the benchmarks"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_webhook",
    "tests.benchmarks.peer.site",
]
DATABASES = {"default": json.loads(os.environ["TEST_DATABASE"])}
CELERY_BROKER_URL = os.environ["TEST_BROKER_URL"]
CELERY_TASK_IGNORE_RESULT = True
# By default, None, it closes the connection to the database around each task, whatever CONN_MAX_AGE
# says.
CELERY_DB_REUSE_MAX = json.loads(os.environ["TEST_DB_REUSE_MAX"])
DJANGO_WEBHOOK = {
    "MODELS": ["site.Order"],
    "STORE_EVENTS": True,
}
