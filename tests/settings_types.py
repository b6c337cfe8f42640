"""Django's settings for mypy, which has to know the models of every app there is."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS

INSTALLED_APPS = [*APPS, "durian.demo", "tests.acceptance.site"]
